"""What schemas and their fields mean, in the words of `docs/api.md`."""

SCHEMAS = {
    "AgentRun": "A run as it is known; what is not known, or not known yet, is absent.",
    "AgentTool": "A tool that an agent may call.",
    "ApprovalAction": "What may be decided of a tool call.",
    "ContinueRequest": "Exactly one of `action`, for all pending calls, and `decisions`, one each.",
    "Decision": "What is decided of one tool call.",
    "JsonValue": "Any JSON.",
    "Media": "A file that goes with the message.",
    "Message": "One message of a conversation.",
    "Metrics": "What a run has used; a figure that is not known is absent.",
    "PendingApproval": "A tool call that waits for a decision.",
    "ResolveRequest": "The decision on all of an approval's calls.",
    "RunOptions": "Overrides for one run.",
    "RunRequest": "What an agent is asked; unknown fields are ignored.",
    "RunResponse": "What one run gave.",
    "RunStatus": "Where a run is in its life; COMPLETED, FAILED and CANCELLED never change again.",
    "Session": "A conversation of one user with one agent.",
    "StartData": "The run is durable.",
    "StopData": "The run is COMPLETED.",
    "ToolCall": "A tool call and what came of it.",
    "ToolEndData": "A tool has given its result.",
    "ToolErrorData": "A tool has failed; the model is told, and the run goes on.",
    "ToolStartData": "A tool is about to run.",
}
"""By the schemas' names in the document; one without a sentence here is a KeyError."""

_IDS = {
    "sessionId": "The conversation.",
    "agentId": "The agent.",
}
FIELDS: dict[str, dict[str, str]] = {
    "RunRequest": {
        "message": "Not only white space. Comes back as it was sent, U+0000 included.",
        "sessionId": "The conversation to go on with; one that the tenant does not know is begun; "
        "omitted: a fresh one. `session_id` is understood too.",
        "userId": "The user in whose name the run acts; another one than the token's needs the "
        "scope `runs:impersonate`. `user_id` is understood too.",
        "orgId": "May repeat the token's organisation. `org_id` is understood too.",
        "generateFollowups": "Whether to suggest follow-up questions.",
        "media": "Inline data at most 4 MiB decoded in all, files by URL at most 10 MiB each.",
    },
    "RunOptions": {
        "model": "One of the agent's `models`.",
        "systemPrompt": "In place of the agent's instructions, where the agent allows it.",
    },
    "Media": {
        "type": "A MIME type that the agent takes.",
        "data": "Padded base64, or an http(s) URL of a public host.",
    },
    "ContinueRequest": {
        "action": "Decides all pending calls.",
        "reason": "What the model is told of a rejection.",
        "decisions": "Each pending call once.",
    },
    "Decision": {
        "id": "One of the pause's `approvals`.",
        "reason": "What the model is told of a rejection.",
        "arguments": "In place of those that the model has chosen; of an approved call only.",
    },
    "ResolveRequest": {"reason": "What the model is told of a rejection."},
    "AgentRun": {
        **_IDS,
        "userId": "Whose run it is.",
        "orgId": "The tenant.",
        "input": "The message.",
        "inputTruncated": "There is more of it.",
        "output": "The answer once the run has ended; of one that failed or was cancelled, what "
        "there was until then.",
        "outputTruncated": "There is more of it: arrays of runs have its beginning, and one answer "
        "has room for 6 MB. The run's stream has all of it.",
        "durationMs": "How long it was executed; waiting does not count.",
        "errorType": "Why the run failed, in UPPER_SNAKE_CASE.",
        "errorMessage": "The same as a sentence that is safe to show.",
        "requiredAction": "What a PAUSED run waits for.",
        "followups": "Suggested questions, where they were asked for.",
        "parentRunId": "Reserved.",
        "version": "Counts the changes of `status`.",
    },
    "RunResponse": {
        **_IDS,
        "content": "The answer.",
        "reasoningSteps": "The stretches of reasoning that nothing interrupted.",
        "followups": "Suggested questions, where they were asked for.",
        "requiredAction": "What a PAUSED run waits for.",
    },
    "ToolCall": {
        "toolInput": "Any JSON.",
        "toolOutput": "Any JSON; the error's text if `isError`.",
    },
    "Session": {
        "title": "The beginning of its first message.",
        "updatedAt": "When its last run was started.",
    },
    "Message": {
        "content": "Of a tool: its result as text, JSON unless it was a text already.",
        "contentTruncated": "There is more of it than one answer has room for.",
    },
    "Metrics": {"costUsd": "In US dollars."},
    "ToolStartData": {"arguments": "Any JSON, usually an object."},
    "ToolEndData": {"result": "Any JSON, null too."},
    "StopData": {"followups": "Suggested questions, where they were asked for."},
}
