-- A sync that was under way when its package was to be read anew must not say at its end that all is read.

alter table package add column rereads bigint;
comment on column package.rereads is 'how often the refs were to be read as if never seen; null: never. What a sync makes of refs_digest counts only if it began after the last time';
