-- Whoever numbers events also tells them, after the last one before them, so that the others need not come back and read. Many of
-- them, or long ones, are read as before: a notification holds 7,999 bytes.
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
    events json;
    said text;
begin
    perform pg_advisory_xact_lock(4845873199050653511);
    select * into strict head from link_state;
    with waiting as (
        select id, row_number() over (order by id) as place from outbox where seq is null
    ), numbered as (
        update outbox o set seq = head.seq + w.place, epoch = head.epoch from waiting w where o.id = w.id
        returning o.seq, o.event, o.keys
    )
    select max(seq), (array_agg(event order by seq desc))[1]
         , json_agg(json_build_object('seq', seq, 'event', event, 'change', keys) order by seq) filter (where seq <= head.seq + 20)
    into last_seq, last_event, events from numbered;
    if last_seq is not null then
        perform set_config('synchronous_commit', 'off', true);
        update link_state set seq = last_seq, event = last_event;
        said := json_build_object(
            'epoch', head.epoch, 'seq', last_seq, 'event', last_event
          , 'before', json_build_object('seq', head.seq, 'event', head.event, 'change', null), 'events', events
        )::text;
        if last_seq > head.seq + 20 or octet_length(said) > 7900 then
            said := json_build_object('epoch', head.epoch, 'seq', last_seq, 'event', last_event)::text;
        end if;
        perform pg_notify('cargoman_numbered', said);
        return query select head.epoch, last_seq, last_event;
    else
        return query select head.epoch, head.seq, head.event;
    end if;
end $$;
