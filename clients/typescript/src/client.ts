import { Breaker } from "./breaker.js";
import type { components } from "./schema.js";

type Schemas = components["schemas"];

export type RouteRequest = Schemas["RouteRequest"];
export type RouteResponse = Schemas["RouteResponse"];
export type Feedback = Omit<Schemas["FeedbackRequest"], "decision_id">;

/** Whom to ask. */
export interface Choice {
  /** The router's choice, or the fallback. */
  readonly candidate: string;
  /** Candidates to try in turn, the chosen one first. */
  readonly ranking: readonly string[];
  /** Names the decision in feedback; null from the fallback. */
  readonly decisionId: string | null;
  readonly source: "router" | "fallback";
  /** One sentence for a person. */
  readonly reason: string;
}

export interface Options {
  /** Of the service, such as `http://router:8080`. */
  readonly url: string;
  /** The candidate that answers when the router does not. */
  readonly fallback: string;
  /** Bearer key, if the service wants one. */
  readonly apiKey?: string;
  /** Of one call, connecting and reading included; milliseconds, default 250. */
  readonly timeoutMs?: number;
  /** Default: five failures in a row, and five seconds of pause. */
  readonly breaker?: Breaker;
}

class OpenError extends Error {}

/**
 * Asks a scoring service. Every call ends within its timeout; whatever goes wrong, the answer is the
 * fallback, and `source` says so.
 */
export class RouterClient {
  readonly #url: string;
  readonly #timeoutMs: number;
  readonly #breaker: Breaker;
  readonly #headers: Record<string, string>;
  readonly fallback: string;

  constructor(options: Options) {
    const timeoutMs = options.timeoutMs ?? 250;
    if (!options.fallback || !(timeoutMs > 0)) {
      throw new RangeError(
        `fallback must name a candidate and timeoutMs be above 0, got ` +
          `${JSON.stringify(options.fallback)} and ${timeoutMs}`,
      );
    }
    new URL(options.url); // throws for what is no address: better here than at the first request
    this.#url = options.url.replace(/\/+$/, "");
    this.fallback = options.fallback;
    this.#timeoutMs = timeoutMs;
    this.#breaker = options.breaker ?? new Breaker();
    this.#headers = { "content-type": "application/json" };
    if (options.apiKey !== undefined) this.#headers["authorization"] = `Bearer ${options.apiKey}`;
  }

  /** Whom to ask; never rejects for what the service or the network does. */
  async route(request: RouteRequest, timeoutMs = this.#timeoutMs): Promise<Choice> {
    try {
      const [status, answer] = await this.#post("/v1/route", request, timeoutMs);
      if (status !== 200) {
        const { detail } = answer as Schemas["Problem"];
        return this.#fallBack(`the router answered ${status}: ${detail}`);
      }
      const { candidate, fallbacks, decision_id, reason } = answer as RouteResponse;
      if (typeof candidate !== "string" || typeof decision_id !== "string") {
        return this.#fallBack("the router's answer is not as declared");
      }
      return {
        candidate,
        ranking: [candidate, ...(fallbacks ?? [])],
        decisionId: decision_id,
        source: "router",
        reason,
      };
    } catch (error) {
      if (error instanceof OpenError) {
        return this.#fallBack("the router failed a moment ago and is left alone");
      }
      return this.#fallBack(`the router cannot be asked: ${String(error)}`);
    }
  }

  /**
   * Say what became of a decision; whether it was recorded. Never rejects.
   *
   * @param decisionId of a Choice; null, from a fallback, is not sent
   */
  async feedback(decisionId: string | null, feedback: Feedback, timeoutMs = 1_000): Promise<boolean> {
    if (decisionId === null) return false;
    try {
      const body = { ...feedback, decision_id: decisionId };
      const [status] = await this.#post("/v1/feedback", body, timeoutMs);
      return status === 202;
    } catch {
      return false;
    }
  }

  #fallBack(reason: string): Choice {
    const ranking = [this.fallback];
    return { candidate: this.fallback, ranking, decisionId: null, source: "fallback", reason };
  }

  async #post(path: string, content: unknown, timeoutMs: number): Promise<[number, unknown]> {
    const body = JSON.stringify(content); // a body that is no JSON says nothing of the service
    if (!this.#breaker.allows(performance.now())) throw new OpenError();
    try {
      const response = await fetch(this.#url + path, {
        method: "POST",
        headers: { ...this.#headers, "x-deadline-ms": String(Math.max(1, Math.floor(timeoutMs))) },
        body,
        redirect: "error", // a key is sent to nobody else
        signal: AbortSignal.timeout(timeoutMs),
      });
      const answer: unknown = await response.json();
      if (typeof answer !== "object" || answer === null) throw new TypeError("expected an object");
      const { status } = response;
      if (status >= 500 || status === 401 || status === 403) this.#breaker.fail(performance.now());
      else this.#breaker.succeed();
      return [status, answer];
    } catch (error) {
      this.#breaker.fail(performance.now());
      throw error;
    }
  }
}
