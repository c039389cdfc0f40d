"""Execution of GraphQL operations. This room contains GraphQL and Strawberry, and no Twilio.

The schema is an ordinary Strawberry schema, which graphql-core can execute field by field. A graph over a REST API needs only
three kinds of field, and all are stated instead of programmed (`fields`):

- a **property** is a function from a record's row to a value;
- an **edge** is a function from a record and the arguments to a `Read` (`context`): a plain value that names the child, or
  the list of children. It does no I/O;
- a **lookup** is a function from the arguments of a field of the query type to a list of objects, for which nothing is read.

A record may be known by its path alone, before its row is fetched. So the functions that execute an operation also say, before
it runs, what it will read: the sids in the query give the paths, and the paths give the keys of the reads.

An operation takes five steps, each in its module:

1. `executor` parses a document within `bounds`, validates it, chooses the operation, and coerces variables (`inputs`), to a
   `prepared` request.
2. `plan` turns the operation into `steps` for each object type that a selection can have. It is cached by the document and
   the values of the variables in `@skip`, `@include` and `@defer` (`documents`); all other variables stay parameters.
3. `estimate` walks the plan with records that have a path and no row. The result is the worst case in upstream calls
   (`requested`, priced as `price` states), the dry run, and the keys to prefetch in the first round trip. An operation
   that could exceed `cost_max` is rejected here. `expected` keeps the result for operations that name other records.
4. `fill` executes the plan breadth first (`SelectionExecutor`). The properties of a batch of records are written together.
   Its edges return their reads for all records at once; the context resolves the children that are known, and fetches the
   missing keys of a level concurrently. So batching does not depend on the timing of the event loop, a failed edge is null
   with an error at its path, and a record that appears at many places is written once.
5. `engine` runs one plan (`Run`): prefetch, fill, and afterwards the subsequent payloads of `@defer` (`deferred`). The result
   is an `outcome`; `failures` turns errors into its entries.

From its second run on, a plan is executed by code instead of `fill`. `levels` reads every level into lists of rows, or, in a
plan without lists, each record by itself. A function that `generate` writes from the plan's steps turns them into structs in
comprehensions, and encodes those as JSON, without objects for edges and nodes. Where the query names all records, no edge is
asked where it leads (`NamedRecords`); if it needs the row of one of them alone, the answer is a function of that row
(`OneRow`), and takes no context. The facts it needs are stated beside properties
and edges (`fields`): which values are written as they are, how those of many rows are checked together, which rows lead to the
same child, and how the children of a whole list are looked up together. Anything else (an error, `nodes`, a limit, `@defer`)
is `Unusual`: `fill` executes the operation with the same context, so that nothing is fetched twice, and the reason is counted.
`receipts-gateway operations cost --explain` prints the code.

What the engine cannot execute faithfully raises `NeedsReference`: a non-null field that is null, and any resolver that is
no property, edge or lookup. graphql-core then executes the operation with the same context, so that nothing is fetched
twice; it also executes the introspection fields at the root. `reference` is its executor with what only the engine has: the
request member `onError` (`error_behavior`), and marks on text that people outside wrote (`outside_text`).
`tests/execution/test_differential.py` holds generated code, `fill` and graphql-core equal, with thousands of random
operations, also over failing upstreams.

A subscription is planned once, and executed for each event (`events`): the event is the root of a plan of its type, and all
else is the same. The upstream properties that its selection uses (`properties`) decide what must be read of a record that an
event proves in part. Failures become null and the code in the event's `IncompleteField`, for an event has no errors.

The room reaches its surroundings through one Protocol, `context.Context`.
"""
