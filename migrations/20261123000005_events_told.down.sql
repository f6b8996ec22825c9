create or replace function number_outbox() returns table (epoch bigint, seq bigint, event uuid)
    language plpgsql volatile
    set lock_timeout = '900ms'
    set enable_bitmapscan = off
    set enable_seqscan = off
    as $$
#variable_conflict use_column
declare
    head link_state;
    last_seq bigint;
    last_event uuid;
begin
    perform pg_advisory_xact_lock(4845873199050653511);
    select * into strict head from link_state;
    with waiting as (
        select id, row_number() over (order by id) as place from outbox where seq is null
    ), numbered as (
        update outbox o set seq = head.seq + w.place, epoch = head.epoch from waiting w where o.id = w.id returning o.seq, o.event
    )
    select seq, event into last_seq, last_event from numbered order by seq desc limit 1;
    if found then
        perform set_config('synchronous_commit', 'off', true);
        update link_state set seq = last_seq, event = last_event;
        perform pg_notify('cargoman_numbered', json_build_object('epoch', head.epoch, 'seq', last_seq, 'event', last_event)::text);
        return query select head.epoch, last_seq, last_event;
    else
        return query select head.epoch, head.seq, head.event;
    end if;
end $$;
