// The results of tool calls, and the errors if there is none.

/** The server changed nothing; the message says why and what is allowed. */
export class ToolError extends Error {}

/** The server limits how often it may be called; `seconds` is the wait it asked for, or 0. */
export class RateLimitedError extends ToolError {
  constructor(seconds) {
    super(`Too many requests; try again ${seconds ? `in ${seconds} s` : "later"}.`);
    this.seconds = seconds;
  }
}

/** The server requires an API key. */
export class UnauthorizedError extends Error {}

/** There was no response. */
export class UnreachableError extends Error {}

/** A result's data. If the result has an image, the data is only in its JSON text. Throws ToolError. */
export function facts(result) {
  if (result.isError) throw new ToolError(textOf(result) || "The server gave no reason.");
  return result.structuredContent ?? JSON.parse(textOf(result) || "{}");
}

/** The part of a result for the page only: the steps of a chart, or what comes next for a notification. */
export function extra(result, name) {
  return result._meta?.[`certctl/${name}`] ?? null;
}

/** Whether `failure` only means that the caller no longer waits. */
export function aborted(failure) {
  return failure?.name === "AbortError";
}

function textOf(result) {
  const texts = (result.content ?? []).filter((block) => block.type === "text").map((block) => block.text);
  return texts.join("\n");
}
