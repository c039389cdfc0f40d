/** Returns the parts of a `multipart/mixed` response as they arrive, wherever its chunks end (RFC 2046, 5.1.1). */
export async function* partsOf<Part>(response: Response): AsyncGenerator<Part> {
  const boundary = /boundary=(?:"([^"]+)"|([^\s;]+))/i.exec(response.headers.get("content-type") ?? "");
  const delimiter = `\r\n--${boundary?.[1] ?? boundary?.[2] ?? "-"}`;
  const reader = response.body!.getReader();
  const decoder = new TextDecoder();
  let text = "\r\n"; // The body may open with a delimiter.
  let searched = 0; // A delimiter may begin in this chunk and end in the next: what may be its start is searched again.
  let isPreamble = true;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      text += decoder.decode(value, { stream: !done });
      for (let end; (end = text.indexOf(delimiter, searched)) >= 0; searched = 0) {
        const part = text.slice(0, end);
        text = text.slice(end + delimiter.length);
        if (!isPreamble && part.startsWith("--")) return;
        if (!isPreamble) yield JSON.parse(part.slice(part.indexOf("\r\n\r\n"))) as Part;
        isPreamble = false;
      }
      if (!isPreamble && text.startsWith("--")) return;
      if (done) throw new Error("The response ended before its last part.");
      searched = Math.max(0, text.length - delimiter.length + 1);
    }
  } finally {
    await reader.cancel();
  }
}
