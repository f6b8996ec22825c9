-- What runs first, what comes after a failure, how far it is, and who wants it ended.
alter table job
    add column priority smallint not null default 0
  , add column retries integer not null default 0
  , add column dead boolean not null default false
  , add column progress json
  , add column cancel_asked_at timestamptz;
comment on column job.priority is '0 somebody waits, 1 something was pushed, 2 tried again after a failure, 3 the clock said so';
comment on column job.retries is 'how many jobs about the same failed one after the other before this one';
comment on column job.dead is 'failed, and not tried again by itself';

-- When a repository is looked at although nobody said that it changed.
alter table package
    add column poll_after timestamptz default now() + interval '5 minutes'
  , add column hook_seen_at timestamptz;
comment on column package.poll_after is 'none: at once';
comment on column package.hook_seen_at is 'when its forge last told us of a push: then it need not be asked so often';
update package set poll_after = now() + random() * interval '15 minutes';
create index package_poll on package (poll_after) where repository_url is not null;
