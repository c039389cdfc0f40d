// The part of the gateway's schema that the benchmark asks for, over the same upstream.

import DataLoader from 'dataloader';
import { GraphQLError } from 'graphql';
import { Pool } from 'undici';

export const typeDefs = /* GraphQL */ `
  type Query {
    service(sid: ID!): Service
  }

  type Service {
    sid: ID!
    friendlyName: String
    dateCreated: DateTime
    conversation(sid: ID!): Conversation
    conversations(first: Int = 50): ConversationConnection
  }

  type Conversation {
    sid: ID!
    friendlyName: String
    state: ConversationState
    message(sid: ID!): Message
    messages(first: Int = 50): MessageConnection
  }

  type Message {
    sid: ID!
    index: Int
    author: String
    body: String
    dateCreated: DateTime
    receipt(sid: ID!): Receipt
    receipts(first: Int = 50): ReceiptConnection
  }

  type Receipt {
    sid: ID!
    status: DeliveryStatus!
    errorCode: Int
    channelMessageSid: ID
    dateCreated: DateTime
    dateUpdated: DateTime
    participant: Participant
  }

  type Participant {
    sid: ID!
    channel: String!
    messagingBinding: MessagingBinding
  }

  type MessagingBinding {
    type: String
    address: String
  }

  type ConversationConnection {
    edges: [ConversationEdge!]!
  }

  type ConversationEdge {
    node: Conversation!
  }

  type MessageConnection {
    edges: [MessageEdge!]!
  }

  type MessageEdge {
    node: Message!
  }

  type ReceiptConnection {
    edges: [ReceiptEdge!]!
  }

  type ReceiptEdge {
    node: Receipt!
  }

  enum ConversationState {
    ACTIVE
    CLOSED
    INACTIVE
    INITIALIZING
    UNKNOWN
  }

  enum DeliveryStatus {
    DELIVERED
    FAILED
    PENDING
    READ
    SENT
    UNDELIVERED
    UNKNOWN
  }

  scalar DateTime
`;

const STATES = { active: 'ACTIVE', closed: 'CLOSED', inactive: 'INACTIVE', initializing: 'INITIALIZING' };

const STATUSES = {
  delivered: 'DELIVERED',
  failed: 'FAILED',
  read: 'READ',
  sent: 'SENT',
  undelivered: 'UNDELIVERED',
};

// Upstream calls

const { UPSTREAM_URL, UPSTREAM_CONNECTIONS, TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN } = process.env;
const TIMEOUT = 5_000;

const upstream = new URL(UPSTREAM_URL);
const base = `${upstream.pathname.replace(/\/$/, '')}/v1`;
const pool = new Pool(upstream.origin, {
  connections: Number(UPSTREAM_CONNECTIONS),
  headersTimeout: TIMEOUT,
  bodyTimeout: TIMEOUT,
});
const headers = {
  accept: 'application/json',
  authorization: `Basic ${Buffer.from(`${TWILIO_ACCOUNT_SID}:${TWILIO_AUTH_TOKEN}`).toString('base64')}`,
};

/** What is at a path; null when there is nothing. */
async function get(path) {
  const { statusCode, body } = await pool.request({ method: 'GET', path: base + path, headers });
  if (statusCode === 200) return body.json();
  await body.dump();
  if (statusCode === 404) return null;
  throw new GraphQLError(`The upstream answered ${statusCode}.`, { extensions: { code: 'UPSTREAM_ERROR' } });
}

// Records, under the names of the schema. Each that has others below it keeps its path.

const toService = (row, path) => ({
  path,
  sid: row.sid,
  friendlyName: row.friendly_name,
  dateCreated: row.date_created,
});

const toConversation = (row, path) => ({
  path,
  sid: row.sid,
  friendlyName: row.friendly_name,
  state: row.state && (STATES[row.state] ?? 'UNKNOWN'),
});

const toMessage = (row, path) => ({
  path,
  sid: row.sid,
  index: row.index,
  author: row.author,
  body: row.body,
  dateCreated: row.date_created,
});

const toReceipt = (row, path) => ({
  path,
  sid: row.sid,
  status: row.status === null ? 'PENDING' : (STATUSES[row.status] ?? 'UNKNOWN'),
  errorCode: row.error_code || null,
  channelMessageSid: row.channel_message_sid,
  dateCreated: row.date_created,
  dateUpdated: row.date_updated,
  participantSid: row.participant_sid,
});

const toParticipant = (row) => ({
  sid: row.sid,
  channel: row.messaging_binding?.type ?? 'chat',
  messagingBinding: row.messaging_binding,
});

// Loaders: one for each resource, made anew for each request. The upstream reads one record a call, so each key goes
// out alone: in a batch, every answer would wait for the slowest.

const loader = (load) => new DataLoader(async ([key]) => [await load(key)], { batch: false });

const one = (make) =>
  loader(async (path) => {
    const row = await get(path);
    return row && make(row, path);
  });

const list = (key, make) =>
  loader(async (path) => {
    const page = await get(path);
    if (!page) throw new GraphQLError('There is no such list.', { extensions: { code: 'NOT_FOUND' } });
    const parent = path.slice(0, path.indexOf('?'));
    return { edges: page[key].map((row) => ({ node: make(row, `${parent}/${row.sid}`) })) };
  });

export const createLoaders = () => ({
  service: one(toService),
  conversation: one(toConversation),
  conversations: list('conversations', toConversation),
  message: one(toMessage),
  messages: list('messages', toMessage),
  receipt: one(toReceipt),
  receipts: list('delivery_receipts', toReceipt),
  participant: one(toParticipant),
});

export const createContext = () => ({ loaders: createLoaders() });

// Resolvers

const below = (parent, name, sid) => `${parent.path}/${name}/${encodeURIComponent(sid)}`;
const page = (parent, name, first) => `${parent.path}/${name}?PageSize=${first}`;

/** Resolvers for the fields of a record of which perhaps only the sid is known: then the first of them fetches it. */
const lazily = (type, names) =>
  Object.fromEntries(
    names.map((name) => [
      name,
      (parent, args, { loaders }) =>
        name in parent ? parent[name] : loaders[type].load(parent.path).then((record) => record?.[name]),
    ]),
  );

export const resolvers = {
  Query: {
    service: (root, { sid }) => ({ path: `/Services/${encodeURIComponent(sid)}`, sid }),
  },
  Service: {
    ...lazily('service', ['friendlyName', 'dateCreated']),
    conversation: (service, { sid }) => ({ path: below(service, 'Conversations', sid), sid }),
    conversations: (service, { first }, { loaders }) =>
      loaders.conversations.load(page(service, 'Conversations', first)),
  },
  Conversation: {
    ...lazily('conversation', ['friendlyName', 'state']),
    message: (conversation, { sid }) => ({ path: below(conversation, 'Messages', sid), sid }),
    messages: (conversation, { first }, { loaders }) => loaders.messages.load(page(conversation, 'Messages', first)),
  },
  Message: {
    ...lazily('message', ['index', 'author', 'body', 'dateCreated']),
    receipt: (message, { sid }, { loaders }) => loaders.receipt.load(below(message, 'Receipts', sid)),
    receipts: (message, { first }, { loaders }) => loaders.receipts.load(page(message, 'Receipts', first)),
  },
  Receipt: {
    participant: ({ path, participantSid }, args, { loaders }) =>
      participantSid &&
      loaders.participant.load(`${path.slice(0, path.indexOf('/Messages/'))}/Participants/${participantSid}`),
  },
};
