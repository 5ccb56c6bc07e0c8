// The sign-in dialog: one request checks a key, and the dialog stays open until the server accepts one.

import { byId } from "./dom.js";
import { RateLimitedError } from "./results.js";

export class SignIn {
  #dialog = byId("sign-in");
  #button = byId("sign-in-button");
  #countdown;

  /** `tryKey(key, stay)` resolves if the server accepts a key; `accepted` is called then. */
  constructor(tryKey, accepted) {
    byId("sign-in-form").addEventListener("submit", async (event) => {
      event.preventDefault();
      this.#button.disabled = true;
      this.#say("");
      try {
        await tryKey(byId("api-key").value.trim(), byId("stay-signed-in").checked);
      } catch (failure) {
        if (failure instanceof RateLimitedError && failure.seconds) return this.#countDown(failure.seconds);
        this.#button.disabled = false;
        this.#say(failure.message);
        byId("api-key").select();
        return;
      }
      byId("api-key").value = "";
      this.#button.disabled = false;
      this.#dialog.close();
      accepted();
    });
    this.#dialog.addEventListener("cancel", (event) => event.preventDefault());
  }

  open(problem) {
    this.#say(problem);
    if (!this.#dialog.open) this.#dialog.showModal();
  }

  #countDown(seconds) {
    clearTimeout(this.#countdown);
    this.#button.disabled = seconds > 0;
    this.#say(seconds > 0 ? `Too many attempts; try again in ${seconds} s.` : "");
    if (seconds > 0) this.#countdown = setTimeout(() => this.#countDown(seconds - 1), 1_000);
  }

  #say(problem) {
    byId("sign-in-problem").textContent = problem;
  }
}
