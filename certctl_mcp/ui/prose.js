// The server's own sentences as the page shows them: with times in local time, and buttons instead of tools.

import { exactTime } from "./times.js";

const MOMENT = /(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) UTC/;
const WORDS = [
  [/\bsee why with get_notification\b/g, "see why in an example"],
  [/\bsee the sample with get_notification\b/g, "see an example"],
  [/\bmark_notification_read settles it\b/g, "Settle ends it"],
  [/\brequeue_notification\b/g, "Requeue"],
  [/\bmark_notification_read\b/g, "Settle"],
  [/\bsend_notification\b/g, "sending another"],
  [/\bmark these read\b/g, "settle these"],
];

/** The nodes of a text from the server, beginning with a capital letter. */
export function prose(text) {
  const worded = WORDS.reduce((said, [tool, words]) => said.replace(tool, words), text);
  const begun = worded.charAt(0).toUpperCase() + worded.slice(1);
  const parts = begun.split(MOMENT);
  const nodes = [];
  for (let at = 0; at < parts.length; at += 3) {
    if (at > 0) nodes.push(exactTime(`${parts[at - 2]}T${parts[at - 1]}Z`));
    nodes.push(parts[at]);
  }
  return nodes;
}
