import assert from "node:assert/strict";
import { test } from "node:test";
import { describe, drawingOf } from "page/drawing";

const edge = (field: string, calls: number, roundTrip: number, rest: object = {}) => ({
  field, upstream: "", calls, inSequence: 1, roundTrip, isAhead: false, mayBeSkipped: false, ...rest,
});
const PLAN = {
  per: "operation" as const, requested: 73, roundTrips: 12, singlePageRoundTrips: 2, refused: [],
  edges: [
    edge("service.conversation", 1, 1),
    edge("service.conversation.messages", 1, 1),
    edge("service.conversation.messages.edges.node.receipts", 50, 2, { mayBeSkipped: true }),
    edge("service.conversation.messages.edges.node.receipts.edges.node.participant", 10, 1, { inSequence: 10, isAhead: true }),
    edge("nodes", 1, 1),
    edge("nodes", 10, 2),
  ],
  skipped: [{ field: "service", reason: "only ids and sids are selected" }, { field: "nodes", reason: "never shown" }],
};

test("each field is a box in the column of its round trip, below the field that leads to it", () => {
  const { boxes, arrows, roundTrips } = drawingOf(PLAN);
  assert.deepEqual(boxes.map(({ path, roundTrip, calls, indent }) => [path, roundTrip, calls, indent]), [
    ["nodes", 1, 11, 0],
    ["service", 1, null, 0],
    ["service.conversation", 1, 1, 1],
    ["service.conversation.messages", 1, 1, 2],
    ["service.conversation.messages.receipts", 2, 50, 0],
    ["service.conversation.messages.receipts.participant", 1, 10, 0],
  ]);
  assert.deepEqual(arrows.map(({ from, to, waits }) => [from.name, to.name, waits]), [
    ["service", "conversation", false],
    ["conversation", "messages", false],
    ["messages", "receipts", true],
    ["receipts", "participant", false],
  ]);
  assert.deepEqual(roundTrips, [1, 2]);
});

test("the picture is told in words", () => {
  assert.equal(
    describe(drawingOf(PLAN)),
    "Round trip 1: nodes, 11 calls at most; service.conversation, 1 call at most; service.conversation.messages, 1 call at most; " +
      "service.conversation.messages.receipts.participant, 10 calls at most, up to 10 one after another. " +
      "Round trip 2: service.conversation.messages.receipts, 50 calls at most, fewer where summaries show that there is nothing to read, " +
      "after service.conversation.messages. service, no call: only ids and sids are selected.",
  );
});
