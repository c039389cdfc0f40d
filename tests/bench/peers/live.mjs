// Subscriptions by GraphQL Yoga's pubsub, over WebSockets by graphql-ws, and over server-sent events by graphql-sse.
// Webhooks are published as they come: unlike the gateway, it verifies no signatures, and asks for no token.

import { createServer } from 'node:http';

import { useGraphQlJit } from '@envelop/graphql-jit';
import { createHandler } from 'graphql-sse/lib/use/http';
import { useServer } from 'graphql-ws/use/ws';
import { createPubSub, createSchema, createYoga } from 'graphql-yoga';
import { WebSocketServer } from 'ws';

const typeDefs = /* GraphQL */ `
  type Query {
    ok: Boolean
  }

  type Subscription {
    deliveryUpdated(serviceSid: ID!): DeliveryEvent
  }

  union DeliveryEvent = ReceiptChange | DeliveriesReady

  type DeliveriesReady {
    cursor: String!
  }

  type ReceiptChange {
    cursor: String!
    receipt: Receipt!
    message: Message
  }

  type Receipt {
    id: ID!
    sid: ID!
    status: DeliveryStatus!
    errorCode: Int
    dateUpdated: DateTime
  }

  type Message {
    id: ID!
    sid: ID!
  }

  enum DeliveryStatus {
    DELIVERED
    FAILED
    READ
    SENT
    UNDELIVERED
  }

  scalar DateTime
`;

const pubsub = createPubSub();
let published = 0;

const base64 = (path) => Buffer.from(path).toString('base64url');

/** What a webhook says, under the names of the schema. */
function toChange(form) {
  const message = `Services/${form.get('ChatServiceSid')}/Conversations/${form.get('ConversationSid')}/Messages/${form.get('MessageSid')}`;
  return {
    __typename: 'ReceiptChange',
    cursor: base64(`${form.get('ChatServiceSid')} ${++published}`),
    receipt: {
      id: base64(`${message}/Receipts/${form.get('DeliveryReceiptSid')}`),
      sid: form.get('DeliveryReceiptSid'),
      status: form.get('Status').toUpperCase(),
      errorCode: Number(form.get('ErrorCode')) || null,
      dateUpdated: form.get('DateUpdated'),
    },
    message: { id: base64(message), sid: form.get('MessageSid') },
  };
}

async function* changes(serviceSid) {
  const updates = pubsub.subscribe(serviceSid);
  yield { __typename: 'DeliveriesReady', cursor: base64(`${serviceSid} ${published}`) };
  yield* updates;
}

const yoga = createYoga({
  schema: createSchema({
    typeDefs,
    resolvers: {
      Subscription: {
        deliveryUpdated: {
          subscribe: (root, { serviceSid }) => changes(serviceSid),
          resolve: (change) => change,
        },
      },
    },
  }),
  plugins: [useGraphQlJit()],
  logging: false,
  graphiql: false,
  landingPage: false,
  cors: false,
  multipart: false,
});

/** The arguments of an execution by Yoga's own engine, its plugins included, as its documentation has them. */
async function enveloped(context, { query, operationName, variables }) {
  const { schema, execute, subscribe, contextFactory, parse, validate } = yoga.getEnveloped(context);
  const document = parse(query);
  const errors = validate(schema, document);
  if (errors.length) return errors;
  const contextValue = await contextFactory();
  return { schema, operationName, document, variableValues: variables, contextValue, rootValue: { execute, subscribe } };
}

const execution = {
  execute: (args) => args.rootValue.execute(args),
  subscribe: (args) => args.rootValue.subscribe(args),
};

const sse = createHandler({
  ...execution,
  onSubscribe: (request, params) => enveloped({ request: request.raw, params }, params),
});

async function webhook(request, response) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const form = new URLSearchParams(Buffer.concat(chunks).toString());
  pubsub.publish(form.get('ChatServiceSid'), toChange(form));
  response.writeHead(204).end();
}

const server = createServer((request, response) => {
  if (request.url === '/webhooks/twilio') return webhook(request, response);
  if (request.headers.accept === 'text/event-stream') return sse(request, response);
  return yoga(request, response);
});

useServer(
  { ...execution, onSubscribe: (context, id, params) => enveloped({ ...context, params }, params) },
  new WebSocketServer({ server, path: '/graphql', perMessageDeflate: false }),
);

server.listen(0, '127.0.0.1', 2048, () => console.log(`listening http://127.0.0.1:${server.address().port}`));
