// What does a tool's answer say, and how is it told that there is none?

/** The server did nothing; the message says why and what would be right. */
export class Refusal extends Error {}

/** The server wants to know who is there. */
export class Unauthorized extends Error {}

/** There was no answer. */
export class Unreachable extends Error {}

/** The facts of an answer. */
export function facts(result) {
  if (result.isError) throw new Refusal(textOf(result) || "The server refused without a reason.");
  return result.structuredContent ?? {};
}

/** The first picture of an answer, as an address for <img>. */
export function picture(result) {
  const block = result.content?.find((one) => one.type === "image" && one.mimeType === "image/png");
  return block && /^[A-Za-z0-9+/=]+$/.test(block.data) ? `data:image/png;base64,${block.data}` : null;
}

/** Whether `failure` only says that nobody waits any more. */
export function aborted(failure) {
  return failure?.name === "AbortError";
}

function textOf(result) {
  const texts = (result.content ?? []).filter((block) => block.type === "text").map((block) => block.text);
  return texts.join("\n");
}
