// Apollo Server, standalone.

import { ApolloServer } from '@apollo/server';
import {
  ApolloServerPluginCacheControlDisabled,
  ApolloServerPluginLandingPageDisabled,
} from '@apollo/server/plugin/disabled';
import { startStandaloneServer } from '@apollo/server/standalone';

import { createContext, resolvers, typeDefs } from './graph.mjs';

// Without cache hints and persisted queries, which nothing here uses.
const server = new ApolloServer({
  typeDefs,
  resolvers,
  plugins: [ApolloServerPluginCacheControlDisabled(), ApolloServerPluginLandingPageDisabled()],
  persistedQueries: false,
});

const { url } = await startStandaloneServer(server, {
  context: async () => createContext(),
  listen: { host: '127.0.0.1', port: 0 },
});

console.log(`listening ${url.replace(/\/$/, '')}`);
