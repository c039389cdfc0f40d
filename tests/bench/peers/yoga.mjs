// GraphQL Yoga with GraphQL JIT.

import { createServer } from 'node:http';

import { useGraphQlJit } from '@envelop/graphql-jit';
import { createSchema, createYoga } from 'graphql-yoga';

import { createContext, resolvers, typeDefs } from './graph.mjs';

const yoga = createYoga({
  schema: createSchema({ typeDefs, resolvers }),
  context: createContext,
  plugins: [useGraphQlJit()],
  logging: false,
  graphiql: false,
  landingPage: false,
  cors: false,
  multipart: false,
});

const server = createServer(yoga);

server.listen(0, '127.0.0.1', () => console.log(`listening http://127.0.0.1:${server.address().port}`));
