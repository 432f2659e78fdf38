export { Breaker } from "./breaker.js";
export { RouterClient } from "./client.js";
export type { Choice, Feedback, Options, RouteRequest, RouteResponse } from "./client.js";
export type { components, paths } from "./schema.js";
