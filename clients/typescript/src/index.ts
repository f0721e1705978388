/** The client of Agentrun: typed, resumable streams for browsers and Node. */

export type { Agents } from "./agents.js";
export type { ToolActivity } from "./answer.js";
export type { Approvals } from "./approvals.js";
export { Agentrun } from "./client.js";
export * from "./errors.js";
export type { EventSourceClass, EventSourceLike } from "./event-source.js";
export type * from "./events.js";
export type { Reattachment } from "./wire/follow.js";
export type * from "./models.js";
export type { RunStream, StreamOptions } from "./run-stream.js";
export { approve, reject } from "./runs.js";
export type { ListRunsOptions, ResumeOptions, Runs, StartOptions, Verdict } from "./runs.js";
export type { Sessions } from "./sessions.js";
export type { AgentrunOptions, CallOptions, Token } from "./wire/transport.js";
export type { WatchOptions } from "./watching.js";
