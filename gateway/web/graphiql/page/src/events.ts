/**
 * Returns the payloads of a response that is sent in events as they arrive, wherever its chunks end; throws Error if it ends
 * before the operation does (https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md, distinct connections).
 */
export async function* eventsOf<Payload>(response: Response): AsyncGenerator<Payload> {
  const reader = response.body!.getReader();
  const decoder = new TextDecoder();
  let text = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      text += decoder.decode(value, { stream: !done });
      for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
        const lines = text.slice(0, end).split("\n");
        if (lines.includes("event: complete")) return;
        const data = lines.find((line) => line.startsWith("data:")); // A heartbeat has none.
        if (data) yield JSON.parse(data.slice(5)) as Payload;
      }
      if (done) break;
    }
  } catch (error) {
    if (error instanceof DOMException) throw error; // It was stopped.
  } finally {
    await reader.cancel().catch(() => undefined); // It may have failed.
  }
  throw new Error("The connection has ended, and later events are missing. Run the subscription again.");
}
