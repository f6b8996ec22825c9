alter table package drop column poll_after, drop column hook_seen_at;
alter table job drop column priority, drop column retries, drop column dead, drop column progress, drop column cancel_asked_at;
