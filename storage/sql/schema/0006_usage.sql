-- What models were asked and what that took, what threads said as messages and events, and what people think of it.

-- One row per model call, appended and never changed, but for a cost that was not known before. Input tokens include
-- what was read from and written to a provider's cache, output tokens include reasoning. It outlives its thread: it has
-- ids, names, numbers and times only.
CREATE TABLE model_calls (
    call_id UUID PRIMARY KEY, -- LangChain's run id of the call
    recorded_at TIMESTAMPTZ NOT NULL, -- when the row was committed
    thread_id VARCHAR NOT NULL,
    run_id UUID NOT NULL,
    attempt SMALLINT NOT NULL, -- of the run, from 1
    user_id VARCHAR,
    tenant VARCHAR,
    assistant_id VARCHAR,
    assistant_version INTEGER,
    graph_id VARCHAR,
    node VARCHAR,
    step INTEGER,
    checkpoint_ns VARCHAR,
    subgraph VARCHAR, -- path of the enclosing subgraphs, joined by /; NULL at the top
    caller VARCHAR NOT NULL, -- lead_agent, subagent or middleware
    caller_name VARCHAR,
    tool VARCHAR, -- the nearest enclosing tool
    provider VARCHAR,
    model_requested VARCHAR,
    model VARCHAR NOT NULL, -- that answered
    started_at TIMESTAMPTZ NOT NULL,
    first_token_at TIMESTAMPTZ, -- NULL when nothing was streamed
    ended_at TIMESTAMPTZ,
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    total_tokens BIGINT NOT NULL,
    cache_read_tokens BIGINT NOT NULL, -- a part of input_tokens, as are the next two
    cache_write_tokens BIGINT NOT NULL,
    input_audio_tokens BIGINT NOT NULL,
    output_audio_tokens BIGINT NOT NULL, -- a part of output_tokens, as is the next
    reasoning_tokens BIGINT NOT NULL,
    usage_source VARCHAR NOT NULL, -- reported, estimated or missing
    usage_detail JSON,
    from_cache BOOLEAN NOT NULL, -- answered by a local cache, at no cost
    status VARCHAR NOT NULL, -- success, error, cancelled, or lost with its process
    finish_reason VARCHAR,
    error_type VARCHAR,
    cost_usd DECIMAL(18, 10), -- NULL when unknown
    price_version VARCHAR,
    priced_as VARCHAR,
    unpriced_reason VARCHAR,
    tags VARCHAR[] NOT NULL, -- of the run
    metadata JSON NOT NULL, -- of the run
    environment VARCHAR,
    release VARCHAR
);

-- Model calls that were under way when their thread last told of itself. A row of model_calls takes one's place.
CREATE TABLE open_calls (
    call_id UUID PRIMARY KEY,
    thread_id VARCHAR NOT NULL,
    run_id UUID NOT NULL,
    epoch BIGINT NOT NULL, -- of the binding that made it
    call JSON NOT NULL -- what is to be recorded if nothing more is heard of it
);

-- What the rows of model_calls add up to, for each run; and how many messages of tools it has.
ALTER TABLE runs ADD COLUMN llm_call_count BIGINT DEFAULT 0;
ALTER TABLE runs ADD COLUMN tool_call_count BIGINT DEFAULT 0;
ALTER TABLE runs ADD COLUMN total_input_tokens BIGINT DEFAULT 0;
ALTER TABLE runs ADD COLUMN total_output_tokens BIGINT DEFAULT 0;
ALTER TABLE runs ADD COLUMN total_tokens BIGINT DEFAULT 0;
ALTER TABLE runs ADD COLUMN lead_agent_tokens BIGINT DEFAULT 0;
ALTER TABLE runs ADD COLUMN subagent_tokens BIGINT DEFAULT 0;
ALTER TABLE runs ADD COLUMN middleware_tokens BIGINT DEFAULT 0;
ALTER TABLE runs ADD COLUMN model_tokens JSON; -- by model
ALTER TABLE runs ADD COLUMN cost_usd DECIMAL(18, 10); -- NULL when no call has one
ALTER TABLE runs ADD COLUMN unpriced_calls BIGINT DEFAULT 0;

-- A thread's log, a part of the conversation: it goes with its thread.
CREATE TABLE events (
    thread_id VARCHAR NOT NULL,
    seq BIGINT NOT NULL, -- from 1 in each thread
    run_id UUID NOT NULL,
    event_type VARCHAR NOT NULL,
    category VARCHAR NOT NULL,
    caller VARCHAR NOT NULL, -- as in metadata: lead_agent, subagent:<name>, middleware:<name>
    content JSON NOT NULL,
    metadata JSON NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX events_thread ON events (thread_id);

-- One for each run and user; without users there is one for each run.
CREATE TABLE feedback (
    feedback_id UUID PRIMARY KEY,
    thread_id VARCHAR NOT NULL,
    run_id UUID NOT NULL,
    user_id VARCHAR,
    message_id VARCHAR,
    rating TINYINT NOT NULL, -- 1 or -1
    comment VARCHAR,
    created_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX feedback_thread ON feedback (thread_id);

-- What tokens cost, by price list, entry, date and size of the input; a million tokens for so many dollars.
CREATE TABLE prices (
    price_version VARCHAR NOT NULL,
    loaded_at TIMESTAMPTZ NOT NULL,
    priced_as VARCHAR NOT NULL, -- provider/model
    starts_at TIMESTAMPTZ, -- NULL: since ever
    ends_at TIMESTAMPTZ, -- NULL: until further notice
    above_input_tokens BIGINT NOT NULL,
    up_to_input_tokens BIGINT, -- NULL: no end
    input_mtok DECIMAL(18, 10),
    output_mtok DECIMAL(18, 10),
    cache_read_mtok DECIMAL(18, 10),
    cache_write_mtok DECIMAL(18, 10),
    context_window BIGINT,
    exact BOOLEAN NOT NULL -- whether a range says it all
);
