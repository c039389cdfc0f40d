"""How an operation is carried out. This room knows GraphQL and Strawberry, and nothing of Twilio.

The schema is an ordinary Strawberry schema, and graphql-core could execute it field by field. But a graph over a REST API
has only two kinds of field, and both can be stated instead of programmed (`fields`):

- a **property** is read off a record that is there: a function from a row to a value;
- an **edge** says where to go on: a function from a record and the arguments to a `Read`, a plain value. It does no I/O.

A record may be known by its path alone, before anything was read of it. So the same edge functions that run an operation
also tell, before it runs, what it will read: from the sids in the query follow the paths, from the paths the reads.

From these statements an operation takes four steps:

1. `plan`: parsed, bounded (`bounds`), validated, and turned into steps for each type that a selection can meet; once for a
   document, and once more for each outcome of its `@skip`, `@include` and `@defer`. All other variables stay parameters;
   `inputs` coerces them, and the arguments they go into.
2. `forecast`: the plan is walked with records of which only the path is known; a list's members stand in it as a star.
   That gives the keys that are certain and leave in the first round trip, the worst case in upstream calls (`requested`), and
   the dry run. What could cost too much is refused here.
3. `engine`: the answer is filled breadth first. What the records of a level hold is written for all of them together; their
   edges are asked, all parents at once, what they read; what is missing is fetched in one go; the children are the next
   level. So batching does not depend on timing, a failed edge is null with an error at its path, and a record that stands at
   many places is written once. What stands in a fragment with `@defer` is filled likewise, once the answer is there.
4. `failures`: what of an error is shown is decided in one place.

What the engine cannot do faithfully, it does not do: introspection, null where the schema lets none be, and any resolver that
is neither a property nor an edge go to graphql-core, over the same memory, so that nothing is read twice (`operation`).
`tests/execution/test_differential.py` holds the two equal, on thousands of random operations, over failing upstreams too.

The room asks its context for seven things: `reserve` (may so many calls be caused now), `look` (a read's child, or the key that
is missing), `fetch` (keys, together), `admit` (may this caller read that), `affords` and `afford` (is it within the limit),
`count` (records in the answer).
"""
