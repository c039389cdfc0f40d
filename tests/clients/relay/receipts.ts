// The receipts of one message, to which `@appendEdge` adds.

import { ConnectionHandler, createOperationDescriptor, Environment, fetchQuery, getRequest, graphql, RecordSource } from "relay-runtime";
import { requestSubscription, Store } from "relay-runtime";

import { makeSocket } from "../caches/screen.ts";
import { current, until, type Conversation } from "../caches/world.ts";
import type { receiptsQuery } from "./__generated__/receiptsQuery.graphql.ts";
import { ask } from "./environment.ts";
import { makeNetwork, RECEIPTS } from "./live.ts";

const QUERY = graphql`
  query receiptsQuery($serviceSid: ID!, $conversationSid: ID!, $messageSid: ID!) {
    service(sid: $serviceSid) {
      conversation(sid: $conversationSid) {
        message(sid: $messageSid) {
          id
          receipts(first: 50) @connection(key: "receipts_receipts") { edges { node { id status } } }
        }
      }
    }
  }
`;

export async function watchReceipts({ url, variables }: Conversation, messageSid: string) {
  const socket = makeSocket();
  const network = makeNetwork(ask(url, current.token), socket);
  const environment = new Environment({ network, store: new Store(new RecordSource()) });
  const given = { ...variables, messageSid };
  const data = await fetchQuery<receiptsQuery>(environment, QUERY, given).toPromise();
  const descriptor = createOperationDescriptor(getRequest(QUERY), given);
  const { id } = data!.service!.conversation!.message!;
  const connections = [ConnectionHandler.getConnectionID(id, "receipts_receipts", null)];
  let isReady = false;
  const { dispose } = requestSubscription<any>(environment, {
    subscription: RECEIPTS,
    variables: { serviceSid: variables.serviceSid, messageSids: [messageSid], connections },
    onNext: () => (isReady = true),
  });
  await until(() => isReady, "the subscription begins");
  return {
    statuses() {
      const read = environment.lookup(descriptor.fragment).data as unknown as receiptsQuery["response"];
      return read.service!.conversation!.message!.receipts!.edges.map(({ node }) => node.status);
    },
    close() {
      dispose();
      void socket.dispose();
    },
  };
}
