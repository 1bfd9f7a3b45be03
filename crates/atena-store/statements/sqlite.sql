-- Every statement that the store sends, written by `make golden`. In an insert, a column that is the
-- same in all rows is one parameter and no column of the new rows.

-- db.change_sequence.last
SELECT last FROM change_sequence WHERE municipality_code = $1;

-- db.change_sequence.take
INSERT INTO change_sequence (municipality_code, last)
VALUES ($1, $2)
ON CONFLICT (municipality_code) DO UPDATE SET last = change_sequence.last + excluded.last
RETURNING last;

-- db.copy: admin_log_checkpoint (count)
SELECT count(*) FROM admin_log_checkpoint WHERE municipality_code = $1;

-- db.copy: admin_log_checkpoint (first page)
SELECT size, root, note, signed_at
FROM admin_log_checkpoint WHERE municipality_code = $1
ORDER BY size LIMIT 1000;

-- db.copy: admin_log_checkpoint (insert)
WITH new (filled, c0, c1, c2, c3) AS (
    VALUES (?, ?, ?, ?, ?))
INSERT INTO admin_log_checkpoint (municipality_code, size, root, note, signed_at)
SELECT ?, new.c0, new.c1, new.c2, new.c3
FROM new WHERE new.filled;

-- db.copy: admin_log_checkpoint (next page)
SELECT size, root, note, signed_at
FROM admin_log_checkpoint WHERE municipality_code = $1 AND (size) > ($2)
ORDER BY size LIMIT 1000;

-- db.copy: admin_log_chunk (count)
SELECT count(*) FROM admin_log_chunk WHERE municipality_code = $1;

-- db.copy: admin_log_chunk (first page)
SELECT first_index, leaf_count, requested_min, requested_max, transfer_id_min, transfer_id_max,
    hashes, leaves
FROM admin_log_chunk WHERE municipality_code = $1
ORDER BY first_index LIMIT 16;

-- db.copy: admin_log_chunk (insert)
WITH new (filled, c0, c1, c2, c3, c4, c5, c6, c7) AS (
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?))
INSERT INTO admin_log_chunk (municipality_code, first_index, leaf_count, requested_min,
    requested_max, transfer_id_min, transfer_id_max, hashes, leaves)
SELECT ?, new.c0, new.c1, new.c2, new.c3, new.c4, new.c5, new.c6, new.c7
FROM new WHERE new.filled;

-- db.copy: admin_log_chunk (next page)
SELECT first_index, leaf_count, requested_min, requested_max, transfer_id_min, transfer_id_max,
    hashes, leaves
FROM admin_log_chunk WHERE municipality_code = $1 AND (first_index) > ($2)
ORDER BY first_index LIMIT 16;

-- db.copy: admin_log_details (count)
SELECT count(*) FROM admin_log_details WHERE municipality_code = $1;

-- db.copy: admin_log_details (first page)
SELECT first_index, details
FROM admin_log_details WHERE municipality_code = $1
ORDER BY first_index LIMIT 16;

-- db.copy: admin_log_details (insert)
WITH new (filled, c0, c1) AS (
    VALUES (?, ?, ?))
INSERT INTO admin_log_details (municipality_code, first_index, details)
SELECT ?, new.c0, new.c1
FROM new WHERE new.filled;

-- db.copy: admin_log_details (next page)
SELECT first_index, details
FROM admin_log_details WHERE municipality_code = $1 AND (first_index) > ($2)
ORDER BY first_index LIMIT 16;

-- db.copy: admin_log_tile (count)
SELECT count(*) FROM admin_log_tile WHERE municipality_code = $1;

-- db.copy: admin_log_tile (first page)
SELECT level, tile_index, hashes
FROM admin_log_tile WHERE municipality_code = $1
ORDER BY level, tile_index LIMIT 64;

-- db.copy: admin_log_tile (insert)
WITH new (filled, c0, c1, c2) AS (
    VALUES (?, ?, ?, ?))
INSERT INTO admin_log_tile (municipality_code, level, tile_index, hashes)
SELECT ?, new.c0, new.c1, new.c2
FROM new WHERE new.filled;

-- db.copy: admin_log_tile (next page)
SELECT level, tile_index, hashes
FROM admin_log_tile WHERE municipality_code = $1 AND (level, tile_index) > ($2, $3)
ORDER BY level, tile_index LIMIT 64;

-- db.copy: change_sequence (count)
SELECT count(*) FROM change_sequence WHERE municipality_code = $1;

-- db.copy: change_sequence (first page)
SELECT last, erasures
FROM change_sequence WHERE municipality_code = $1
ORDER BY municipality_code LIMIT 1000;

-- db.copy: change_sequence (insert)
WITH new (filled, c0, c1) AS (
    VALUES (?, ?, ?))
INSERT INTO change_sequence (municipality_code, last, erasures)
SELECT ?, new.c0, new.c1
FROM new WHERE new.filled;

-- db.copy: feed (count)
SELECT count(*) FROM feed WHERE municipality_code = $1;

-- db.copy: feed (first page)
SELECT system_id, feed_number, dataset, field_names, since_sequence
FROM feed WHERE municipality_code = $1
ORDER BY system_id, feed_number LIMIT 1000;

-- db.copy: feed (insert)
WITH new (filled, c0, c1, c2, c3, c4) AS (
    VALUES (?, ?, ?, ?, ?, ?))
INSERT INTO feed (municipality_code, system_id, feed_number, dataset, field_names, since_sequence)
SELECT ?, new.c0, new.c1, new.c2, new.c3, new.c4
FROM new WHERE new.filled;

-- db.copy: feed (next page)
SELECT system_id, feed_number, dataset, field_names, since_sequence
FROM feed WHERE municipality_code = $1 AND (system_id, feed_number) > ($2, $3)
ORDER BY system_id, feed_number LIMIT 1000;

-- db.copy: feed_change (count)
SELECT count(*) FROM feed_change WHERE municipality_code = $1;

-- db.copy: feed_change (first page)
SELECT feed_number, last_sequence, entries
FROM feed_change WHERE municipality_code = $1
ORDER BY feed_number, last_sequence LIMIT 64;

-- db.copy: feed_change (insert)
WITH new (filled, c0, c1, c2) AS (
    VALUES (?, ?, ?, ?))
INSERT INTO feed_change (municipality_code, feed_number, last_sequence, entries)
SELECT ?, new.c0, new.c1, new.c2
FROM new WHERE new.filled;

-- db.copy: feed_change (next page)
SELECT feed_number, last_sequence, entries
FROM feed_change WHERE municipality_code = $1 AND (feed_number, last_sequence) > ($2, $3)
ORDER BY feed_number, last_sequence LIMIT 64;

-- db.copy: feed_day (count)
SELECT count(*) FROM feed_day WHERE municipality_code = $1;

-- db.copy: feed_day (first page)
SELECT day, last_sequence
FROM feed_day WHERE municipality_code = $1
ORDER BY day LIMIT 1000;

-- db.copy: feed_day (insert)
WITH new (filled, c0, c1) AS (
    VALUES (?, ?, ?))
INSERT INTO feed_day (municipality_code, day, last_sequence)
SELECT ?, new.c0, new.c1
FROM new WHERE new.filled;

-- db.copy: feed_day (next page)
SELECT day, last_sequence
FROM feed_day WHERE municipality_code = $1 AND (day) > ($2)
ORDER BY day LIMIT 1000;

-- db.copy: hashes of admin_log_chunk (first page)
SELECT first_index, hashes
FROM admin_log_chunk WHERE municipality_code = $1
ORDER BY first_index LIMIT 64;

-- db.copy: hashes of admin_log_chunk (next page)
SELECT first_index, hashes
FROM admin_log_chunk WHERE municipality_code = $1 AND (first_index) > ($2)
ORDER BY first_index LIMIT 64;

-- db.copy: hashes of log_chunk (first page)
SELECT first_index, hashes
FROM log_chunk WHERE municipality_code = $1
ORDER BY first_index LIMIT 64;

-- db.copy: hashes of log_chunk (next page)
SELECT first_index, hashes
FROM log_chunk WHERE municipality_code = $1 AND (first_index) > ($2)
ORDER BY first_index LIMIT 64;

-- db.copy: key_state (count)
SELECT count(*) FROM key_state WHERE municipality_code = $1;

-- db.copy: key_state (first page)
SELECT wrapping_id, index_versions
FROM key_state WHERE municipality_code = $1
ORDER BY municipality_code LIMIT 1000;

-- db.copy: key_state (insert)
WITH new (filled, c0, c1) AS (
    VALUES (?, ?, ?))
INSERT INTO key_state (municipality_code, wrapping_id, index_versions)
SELECT ?, new.c0, new.c1
FROM new WHERE new.filled;

-- db.copy: link (count)
SELECT count(*) FROM link WHERE municipality_code = $1;

-- db.copy: link (first page)
SELECT system_id, local_address_number, unified_address_number, change_sequence
FROM link WHERE municipality_code = $1
ORDER BY system_id, local_address_number LIMIT 1000;

-- db.copy: link (insert)
WITH new (filled, c0, c1, c2, c3) AS (
    VALUES (?, ?, ?, ?, ?))
INSERT INTO link (municipality_code, system_id, local_address_number, unified_address_number,
    change_sequence)
SELECT ?, new.c0, new.c1, new.c2, new.c3
FROM new WHERE new.filled;

-- db.copy: link (next page)
SELECT system_id, local_address_number, unified_address_number, change_sequence
FROM link WHERE municipality_code = $1 AND (system_id, local_address_number) > ($2, $3)
ORDER BY system_id, local_address_number LIMIT 1000;

-- db.copy: log_checkpoint (count)
SELECT count(*) FROM log_checkpoint WHERE municipality_code = $1;

-- db.copy: log_checkpoint (first page)
SELECT size, root, note, signed_at
FROM log_checkpoint WHERE municipality_code = $1
ORDER BY size LIMIT 1000;

-- db.copy: log_checkpoint (insert)
WITH new (filled, c0, c1, c2, c3) AS (
    VALUES (?, ?, ?, ?, ?))
INSERT INTO log_checkpoint (municipality_code, size, root, note, signed_at)
SELECT ?, new.c0, new.c1, new.c2, new.c3
FROM new WHERE new.filled;

-- db.copy: log_checkpoint (next page)
SELECT size, root, note, signed_at
FROM log_checkpoint WHERE municipality_code = $1 AND (size) > ($2)
ORDER BY size LIMIT 1000;

-- db.copy: log_chunk (count)
SELECT count(*) FROM log_chunk WHERE municipality_code = $1;

-- db.copy: log_chunk (first page)
SELECT first_index, leaf_count, requested_min, requested_max, transfer_id_min, transfer_id_max,
    hashes, leaves
FROM log_chunk WHERE municipality_code = $1
ORDER BY first_index LIMIT 16;

-- db.copy: log_chunk (insert)
WITH new (filled, c0, c1, c2, c3, c4, c5, c6, c7) AS (
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?))
INSERT INTO log_chunk (municipality_code, first_index, leaf_count, requested_min, requested_max,
    transfer_id_min, transfer_id_max, hashes, leaves)
SELECT ?, new.c0, new.c1, new.c2, new.c3, new.c4, new.c5, new.c6, new.c7
FROM new WHERE new.filled;

-- db.copy: log_chunk (next page)
SELECT first_index, leaf_count, requested_min, requested_max, transfer_id_min, transfer_id_max,
    hashes, leaves
FROM log_chunk WHERE municipality_code = $1 AND (first_index) > ($2)
ORDER BY first_index LIMIT 16;

-- db.copy: log_details (count)
SELECT count(*) FROM log_details WHERE municipality_code = $1;

-- db.copy: log_details (first page)
SELECT first_index, details
FROM log_details WHERE municipality_code = $1
ORDER BY first_index LIMIT 16;

-- db.copy: log_details (insert)
WITH new (filled, c0, c1) AS (
    VALUES (?, ?, ?))
INSERT INTO log_details (municipality_code, first_index, details)
SELECT ?, new.c0, new.c1
FROM new WHERE new.filled;

-- db.copy: log_details (next page)
SELECT first_index, details
FROM log_details WHERE municipality_code = $1 AND (first_index) > ($2)
ORDER BY first_index LIMIT 16;

-- db.copy: log_index_head (count)
SELECT count(*) FROM log_index_head WHERE municipality_code = $1;

-- db.copy: log_index_head (first page)
SELECT size
FROM log_index_head WHERE municipality_code = $1
ORDER BY municipality_code LIMIT 1000;

-- db.copy: log_index_head (insert)
WITH new (filled, c0) AS (
    VALUES (?, ?))
INSERT INTO log_index_head (municipality_code, size)
SELECT ?, new.c0
FROM new WHERE new.filled;

-- db.copy: log_key (count)
SELECT count(*) FROM log_key WHERE municipality_code = $1;

-- db.copy: log_key (first page)
SELECT version, public_key, signs_since, signs_until
FROM log_key WHERE municipality_code = $1
ORDER BY version LIMIT 1000;

-- db.copy: log_key (insert)
WITH new (filled, c0, c1, c2, c3) AS (
    VALUES (?, ?, ?, ?, ?))
INSERT INTO log_key (municipality_code, version, public_key, signs_since, signs_until)
SELECT ?, new.c0, new.c1, new.c2, new.c3
FROM new WHERE new.filled;

-- db.copy: log_key (next page)
SELECT version, public_key, signs_since, signs_until
FROM log_key WHERE municipality_code = $1 AND (version) > ($2)
ORDER BY version LIMIT 1000;

-- db.copy: log_person (count)
SELECT count(*) FROM log_person WHERE municipality_code = $1;

-- db.copy: log_person (first page)
SELECT unified_address_number, leaf_index
FROM log_person WHERE municipality_code = $1
ORDER BY unified_address_number, leaf_index LIMIT 1000;

-- db.copy: log_person (insert)
WITH new (filled, c0, c1) AS (
    VALUES (?, ?, ?))
INSERT INTO log_person (municipality_code, unified_address_number, leaf_index)
SELECT ?, new.c0, new.c1
FROM new WHERE new.filled;

-- db.copy: log_person (next page)
SELECT unified_address_number, leaf_index
FROM log_person WHERE municipality_code = $1 AND (unified_address_number, leaf_index) > ($2, $3)
ORDER BY unified_address_number, leaf_index LIMIT 1000;

-- db.copy: log_retention (count)
SELECT count(*) FROM log_retention WHERE municipality_code = $1;

-- db.copy: log_retention (first page)
SELECT kind, first_index
FROM log_retention WHERE municipality_code = $1
ORDER BY kind LIMIT 1000;

-- db.copy: log_retention (insert)
WITH new (filled, c0, c1) AS (
    VALUES (?, ?, ?))
INSERT INTO log_retention (municipality_code, kind, first_index)
SELECT ?, new.c0, new.c1
FROM new WHERE new.filled;

-- db.copy: log_retention (next page)
SELECT kind, first_index
FROM log_retention WHERE municipality_code = $1 AND (kind) > ($2)
ORDER BY kind LIMIT 1000;

-- db.copy: log_tile (count)
SELECT count(*) FROM log_tile WHERE municipality_code = $1;

-- db.copy: log_tile (first page)
SELECT level, tile_index, hashes
FROM log_tile WHERE municipality_code = $1
ORDER BY level, tile_index LIMIT 64;

-- db.copy: log_tile (insert)
WITH new (filled, c0, c1, c2) AS (
    VALUES (?, ?, ?, ?))
INSERT INTO log_tile (municipality_code, level, tile_index, hashes)
SELECT ?, new.c0, new.c1, new.c2
FROM new WHERE new.filled;

-- db.copy: log_tile (next page)
SELECT level, tile_index, hashes
FROM log_tile WHERE municipality_code = $1 AND (level, tile_index) > ($2, $3)
ORDER BY level, tile_index LIMIT 64;

-- db.copy: number_sequence (count)
SELECT count(*) FROM number_sequence WHERE municipality_code = $1;

-- db.copy: number_sequence (first page)
SELECT next_body
FROM number_sequence WHERE municipality_code = $1
ORDER BY municipality_code LIMIT 1000;

-- db.copy: number_sequence (insert)
WITH new (filled, c0) AS (
    VALUES (?, ?))
INSERT INTO number_sequence (municipality_code, next_body)
SELECT ?, new.c0
FROM new WHERE new.filled;

-- db.copy: person (count)
SELECT count(*) FROM person WHERE municipality_code = $1;

-- db.copy: person (first page)
SELECT unified_address_number, migrated, created_at
FROM person WHERE municipality_code = $1
ORDER BY unified_address_number LIMIT 1000;

-- db.copy: person (insert)
WITH new (filled, c0, c1, c2) AS (
    VALUES (?, ?, ?, ?))
INSERT INTO person (municipality_code, unified_address_number, migrated, created_at)
SELECT ?, new.c0, new.c1, new.c2
FROM new WHERE new.filled;

-- db.copy: person (next page)
SELECT unified_address_number, migrated, created_at
FROM person WHERE municipality_code = $1 AND (unified_address_number) > ($2)
ORDER BY unified_address_number LIMIT 1000;

-- db.copy: person_key (count)
SELECT count(*) FROM person_key WHERE municipality_code = $1;

-- db.copy: person_key (first page)
SELECT unified_address_number, kek_id, wrapped_key
FROM person_key WHERE municipality_code = $1
ORDER BY unified_address_number LIMIT 1000;

-- db.copy: person_key (insert)
WITH new (filled, c0, c1, c2) AS (
    VALUES (?, ?, ?, ?))
INSERT INTO person_key (municipality_code, unified_address_number, kek_id, wrapped_key)
SELECT ?, new.c0, new.c1, new.c2
FROM new WHERE new.filled;

-- db.copy: person_key (next page)
SELECT unified_address_number, kek_id, wrapped_key
FROM person_key WHERE municipality_code = $1 AND (unified_address_number) > ($2)
ORDER BY unified_address_number LIMIT 1000;

-- db.copy: person_view (count)
SELECT count(*) FROM person_view WHERE municipality_code = $1;

-- db.copy: person_view (first page)
SELECT system_id, local_address_number, revision, sealed, content_mac, protected, stored_at
FROM person_view WHERE municipality_code = $1
ORDER BY system_id, local_address_number, revision LIMIT 1000;

-- db.copy: person_view (insert)
WITH new (filled, c0, c1, c2, c3, c4, c5, c6) AS (
    VALUES (?, ?, ?, ?, ?, ?, ?, ?))
INSERT INTO person_view (municipality_code, system_id, local_address_number, revision, sealed,
    content_mac, protected, stored_at)
SELECT ?, new.c0, new.c1, new.c2, new.c3, new.c4, new.c5, new.c6
FROM new WHERE new.filled;

-- db.copy: person_view (next page)
SELECT system_id, local_address_number, revision, sealed, content_mac, protected, stored_at
FROM person_view WHERE municipality_code = $1
    AND (system_id, local_address_number, revision) > ($2, $3, $4)
ORDER BY system_id, local_address_number, revision LIMIT 1000;

-- db.copy: personal_number (count)
SELECT count(*) FROM personal_number WHERE municipality_code = $1;

-- db.copy: personal_number (first page)
SELECT blind_index, unified_address_number, sequence, sealed, effective_date, superseded_at,
    index_version
FROM personal_number WHERE municipality_code = $1
ORDER BY blind_index LIMIT 1000;

-- db.copy: personal_number (insert)
WITH new (filled, c0, c1, c2, c3, c4, c5, c6) AS (
    VALUES (?, ?, ?, ?, ?, ?, ?, ?))
INSERT INTO personal_number (municipality_code, blind_index, unified_address_number, sequence,
    sealed, effective_date, superseded_at, index_version)
SELECT ?, new.c0, new.c1, new.c2, new.c3, new.c4, new.c5, new.c6
FROM new WHERE new.filled;

-- db.copy: personal_number (next page)
SELECT blind_index, unified_address_number, sequence, sealed, effective_date, superseded_at,
    index_version
FROM personal_number WHERE municipality_code = $1 AND (blind_index) > ($2)
ORDER BY blind_index LIMIT 1000;

-- db.copy: record (count)
SELECT count(*) FROM record WHERE municipality_code = $1;

-- db.copy: record (first page)
SELECT unified_address_number, dataset, record_key, revision, change_sequence, deleted, sealed,
    content_mac, stored_at, record_number
FROM record WHERE municipality_code = $1
ORDER BY unified_address_number, dataset, record_key LIMIT 1000;

-- db.copy: record (insert)
WITH new (filled, c0, c1, c2, c3, c4, c5, c6, c7, c8, c9) AS (
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?))
INSERT INTO record (municipality_code, unified_address_number, dataset, record_key, revision,
    change_sequence, deleted, sealed, content_mac, stored_at, record_number)
SELECT ?, new.c0, new.c1, new.c2, new.c3, new.c4, new.c5, new.c6, new.c7, new.c8, new.c9
FROM new WHERE new.filled;

-- db.copy: record (next page)
SELECT unified_address_number, dataset, record_key, revision, change_sequence, deleted, sealed,
    content_mac, stored_at, record_number
FROM record WHERE municipality_code = $1
    AND (unified_address_number, dataset, record_key) > ($2, $3, $4)
ORDER BY unified_address_number, dataset, record_key LIMIT 1000;

-- db.copy: record_history (count)
SELECT count(*) FROM record_history WHERE municipality_code = $1;

-- db.copy: record_history (first page)
SELECT superseded_by, dataset, record_key, revision, unified_address_number, change_sequence,
    deleted, sealed, content_mac, stored_at
FROM record_history WHERE municipality_code = $1
ORDER BY superseded_by LIMIT 1000;

-- db.copy: record_history (insert)
WITH new (filled, c0, c1, c2, c3, c4, c5, c6, c7, c8, c9) AS (
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?))
INSERT INTO record_history (municipality_code, superseded_by, dataset, record_key, revision,
    unified_address_number, change_sequence, deleted, sealed, content_mac, stored_at)
SELECT ?, new.c0, new.c1, new.c2, new.c3, new.c4, new.c5, new.c6, new.c7, new.c8, new.c9
FROM new WHERE new.filled;

-- db.copy: record_history (next page)
SELECT superseded_by, dataset, record_key, revision, unified_address_number, change_sequence,
    deleted, sealed, content_mac, stored_at
FROM record_history WHERE municipality_code = $1 AND (superseded_by) > ($2)
ORDER BY superseded_by LIMIT 1000;

-- db.copy: review_case (count)
SELECT count(*) FROM review_case WHERE municipality_code = $1;

-- db.copy: review_case (first page)
SELECT case_id, kind, system_id, local_address_number, unified_address_number,
    other_unified_address_number, sealed, content_mac, created_at
FROM review_case WHERE municipality_code = $1
ORDER BY case_id LIMIT 1000;

-- db.copy: review_case (insert)
WITH new (filled, c0, c1, c2, c3, c4, c5, c6, c7, c8) AS (
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?))
INSERT INTO review_case (municipality_code, case_id, kind, system_id, local_address_number,
    unified_address_number, other_unified_address_number, sealed, content_mac, created_at)
SELECT ?, new.c0, new.c1, new.c2, new.c3, new.c4, new.c5, new.c6, new.c7, new.c8
FROM new WHERE new.filled;

-- db.copy: review_case (next page)
SELECT case_id, kind, system_id, local_address_number, unified_address_number,
    other_unified_address_number, sealed, content_mac, created_at
FROM review_case WHERE municipality_code = $1 AND (case_id) > ($2)
ORDER BY case_id LIMIT 1000;

-- db.erasures
SELECT erasures FROM change_sequence WHERE municipality_code = $1;

-- db.feed.changes
SELECT last_sequence, entries FROM feed_change
WHERE municipality_code = $1 AND feed_number = $2 AND last_sequence > $3
    AND last_sequence <= $4
ORDER BY last_sequence LIMIT $5;

-- db.feed.mark_day
INSERT INTO feed_day (municipality_code, day, last_sequence) VALUES ($1, $2, $3)
ON CONFLICT (municipality_code, day) DO NOTHING;

-- db.feed.note
WITH new (filled, c0, c1, c2) AS (
    VALUES (?, ?, ?, ?))
INSERT INTO feed_change (municipality_code, feed_number, last_sequence, entries)
SELECT ?, new.c0, new.c1, new.c2
FROM new WHERE new.filled;

-- db.feed.of_datasets
SELECT feed_number, system_id, dataset, field_names, since_sequence FROM feed
WHERE municipality_code = $1 AND dataset IN (SELECT value FROM json_each($2))
ORDER BY feed_number;

-- db.feed.of_system
SELECT feed_number, system_id, dataset, field_names, since_sequence FROM feed
WHERE municipality_code = $1 AND system_id = $2 ORDER BY feed_number;

-- db.feed.open
INSERT INTO feed (municipality_code, system_id, feed_number, dataset, field_names,
    since_sequence)
VALUES ($1, $2, $3, $4, $5, $6);

-- db.feed.open: changes of the oldest
DELETE FROM feed_change WHERE municipality_code = $1 AND feed_number = $2;

-- db.feed.open: next number
SELECT coalesce(max(feed_number), 0) + 1 FROM feed WHERE municipality_code = $1;

-- db.feed.open: the oldest
DELETE FROM feed
WHERE municipality_code = $1 AND feed_number = $2 AND system_id = $3;

-- db.feed.prune: changes
DELETE FROM feed_change
WHERE municipality_code = $1 AND feed_number = $2 AND last_sequence <= $3;

-- db.feed.prune: day
SELECT day, last_sequence FROM feed_day
WHERE municipality_code = $1 AND day <= $2 ORDER BY day DESC LIMIT 1;

-- db.feed.prune: days
DELETE FROM feed_day WHERE municipality_code = $1 AND day <= $2;

-- db.feed.prune: since
UPDATE feed SET since_sequence = $4
WHERE municipality_code = $1 AND system_id = $2 AND feed_number = $3;

-- db.holding.of
SELECT count(*),
    group_concat(link.local_address_number, char(31)),
    group_concat(link.unified_address_number, char(31)),
    group_concat(coalesce(person_key.kek_id, ''), char(31)),
    group_concat(length(coalesce(person_key.wrapped_key, '')), char(31)),
        CAST(group_concat(coalesce(person_key.wrapped_key, ''), '') AS BLOB),
    group_concat(coalesce(record.dataset, ''), char(31)),
    group_concat(coalesce(record.record_key, ''), char(31)),
    group_concat(coalesce(record.revision, 0), char(31)),
    group_concat(length(coalesce(record.sealed, '')), char(31)),
        CAST(group_concat(coalesce(record.sealed, ''), '') AS BLOB)
FROM link
LEFT JOIN person_key ON person_key.municipality_code = $1
    AND person_key.unified_address_number = link.unified_address_number
LEFT JOIN record ON record.municipality_code = $1
    AND record.unified_address_number = link.unified_address_number
    AND record.deleted = 0 AND record.dataset IN (SELECT value FROM json_each($3))
WHERE link.municipality_code = $1 AND link.system_id = $2
    AND link.local_address_number IN (SELECT value FROM json_each($4));

-- db.key_state.ensure
INSERT INTO key_state (municipality_code, wrapping_id, index_versions)
VALUES ($1, $2, $3)
ON CONFLICT (municipality_code) DO NOTHING;

-- db.key_state.read
SELECT wrapping_id, index_versions FROM key_state WHERE municipality_code = $1;

-- db.key_state.read: in a transaction
SELECT wrapping_id, index_versions FROM key_state WHERE municipality_code = $1;

-- db.key_state.set
INSERT INTO key_state (municipality_code, wrapping_id, index_versions)
VALUES ($1, $2, $3)
ON CONFLICT (municipality_code) DO UPDATE
    SET wrapping_id = excluded.wrapping_id, index_versions = excluded.index_versions;

-- db.link.after
SELECT count(*),
    group_concat(page.local_address_number, char(31)),
    group_concat(page.unified_address_number, char(31))
FROM (
SELECT local_address_number, unified_address_number FROM link
WHERE municipality_code = $1 AND system_id = $2 AND local_address_number > $3
ORDER BY local_address_number LIMIT $4) AS page;

-- db.link.by_local
SELECT count(*),
    group_concat(local_address_number, char(31)),
    group_concat(unified_address_number, char(31))
FROM link
WHERE municipality_code = $1 AND system_id = $2
    AND local_address_number IN (SELECT value FROM json_each($3));

-- db.link.by_local (a range)
SELECT count(*),
    group_concat(local_address_number, char(31)),
    group_concat(unified_address_number, char(31))
FROM link
WHERE municipality_code = $1 AND system_id = $2
    AND local_address_number BETWEEN json_extract($3, '$[0]') AND json_extract($3, '$[#-1]');

-- db.link.by_unified
SELECT count(*),
    group_concat(unified_address_number, char(31)),
    group_concat(local_address_number, char(31))
FROM link
WHERE municipality_code = $1 AND system_id = $2
    AND unified_address_number IN (SELECT value FROM json_each($3));

-- db.link.by_unified (a range)
SELECT count(*),
    group_concat(unified_address_number, char(31)),
    group_concat(local_address_number, char(31))
FROM link
WHERE municipality_code = $1 AND system_id = $2
    AND unified_address_number BETWEEN json_extract($3, '$[0]') AND json_extract($3, '$[#-1]');

-- db.link.changes
SELECT count(*),
    group_concat(unified_address_number, char(31)),
    group_concat(change_sequence, char(31))
FROM link
WHERE municipality_code = $1 AND system_id = $2
    AND unified_address_number IN (SELECT value FROM json_each($3));

-- db.link.changes (a range)
SELECT count(*),
    group_concat(unified_address_number, char(31)),
    group_concat(change_sequence, char(31))
FROM link
WHERE municipality_code = $1 AND system_id = $2
    AND unified_address_number BETWEEN json_extract($3, '$[0]') AND json_extract($3, '$[#-1]');

-- db.link.in_systems
SELECT count(*),
    group_concat(unified_address_number, char(31)),
    group_concat(system_id, char(31))
FROM link
WHERE municipality_code = $1 AND system_id IN (SELECT value FROM json_each($2))
    AND unified_address_number IN (SELECT value FROM json_each($3));

-- db.link.in_systems (a range)
SELECT count(*),
    group_concat(unified_address_number, char(31)),
    group_concat(system_id, char(31))
FROM link
WHERE municipality_code = $1 AND system_id IN (SELECT value FROM json_each($2))
    AND unified_address_number BETWEEN json_extract($3, '$[0]') AND json_extract($3, '$[#-1]');

-- db.link.insert
WITH new (filled, c0, c1, c2, c3) AS (
    VALUES (?, ?, ?, ?, ?))
INSERT INTO link (municipality_code, system_id, local_address_number, unified_address_number,
    change_sequence)
SELECT ?, new.c0, new.c1, new.c2, new.c3
FROM new WHERE new.filled;

-- db.link.insert: feeds
SELECT feed_number, system_id, dataset, field_names, since_sequence FROM feed
WHERE municipality_code = $1 AND system_id IN (SELECT value FROM json_each($2))
ORDER BY feed_number;

-- db.log.append: details
WITH new (filled, c0, c1) AS (
    VALUES (?, ?, ?))
INSERT INTO log_details (municipality_code, first_index, details)
SELECT ?, new.c0, new.c1
FROM new WHERE new.filled;

-- db.log.append: details of the admin log
WITH new (filled, c0, c1) AS (
    VALUES (?, ?, ?))
INSERT INTO admin_log_details (municipality_code, first_index, details)
SELECT ?, new.c0, new.c1
FROM new WHERE new.filled;

-- db.log.append: frontier
INSERT INTO log_head (municipality_code, size, frontier)
VALUES ($1, $2, $3)
ON CONFLICT (municipality_code)
    DO UPDATE SET size = excluded.size, frontier = excluded.frontier;

-- db.log.append: frontier (admin log)
INSERT INTO admin_log_head (municipality_code, size, frontier)
VALUES ($1, $2, $3)
ON CONFLICT (municipality_code)
    DO UPDATE SET size = excluded.size, frontier = excluded.frontier;

-- db.log.append: leaves
WITH new (filled, c0, c1, c2, c3, c4, c5, c6, c7) AS (
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?))
INSERT INTO log_chunk (municipality_code, first_index, leaf_count, requested_min, requested_max,
    transfer_id_min, transfer_id_max, hashes, leaves)
SELECT ?, new.c0, new.c1, new.c2, new.c3, new.c4, new.c5, new.c6, new.c7
FROM new WHERE new.filled;

-- db.log.append: leaves of the admin log
WITH new (filled, c0, c1, c2, c3, c4, c5, c6, c7) AS (
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?))
INSERT INTO admin_log_chunk (municipality_code, first_index, leaf_count, requested_min,
    requested_max, transfer_id_min, transfer_id_max, hashes, leaves)
SELECT ?, new.c0, new.c1, new.c2, new.c3, new.c4, new.c5, new.c6, new.c7
FROM new WHERE new.filled;

-- db.log.append: tile
INSERT INTO log_tile AS tile (municipality_code, level, tile_index, hashes)
VALUES ($1, $2, $3, $4)
ON CONFLICT (municipality_code, level, tile_index)
    DO UPDATE SET hashes = CAST(tile.hashes || excluded.hashes AS BLOB)
RETURNING CAST(length(hashes) AS bigint);

-- db.log.append: tile (admin log)
INSERT INTO admin_log_tile AS tile (municipality_code, level, tile_index, hashes)
VALUES ($1, $2, $3, $4)
ON CONFLICT (municipality_code, level, tile_index)
    DO UPDATE SET hashes = CAST(tile.hashes || excluded.hashes AS BLOB)
RETURNING CAST(length(hashes) AS bigint);

-- db.log.by_id
SELECT first_index, leaf_count, requested_max, hashes, leaves FROM log_chunk
WHERE municipality_code = $1 AND transfer_id_max >= $2 AND transfer_id_min <= $2
ORDER BY transfer_id_max;

-- db.log.details
SELECT details FROM log_details
WHERE municipality_code = $1 AND first_index = $2;

-- db.log.details (admin log)
SELECT details FROM admin_log_details
WHERE municipality_code = $1 AND first_index = $2;

-- db.log.frontier
SELECT frontier FROM log_head WHERE municipality_code = $1;

-- db.log.frontier (admin log)
SELECT frontier FROM admin_log_head WHERE municipality_code = $1;

-- db.log.hashes
SELECT first_index, leaf_count, hashes FROM log_chunk
WHERE municipality_code = $1 AND first_index >= $2 ORDER BY first_index LIMIT $3;

-- db.log.hashes (admin log)
SELECT first_index, leaf_count, hashes FROM admin_log_chunk
WHERE municipality_code = $1 AND first_index >= $2 ORDER BY first_index LIMIT $3;

-- db.log.newest
SELECT first_index, leaf_count, requested_max, hashes, leaves FROM log_chunk
WHERE municipality_code = $1 AND first_index < $2 AND requested_max >= $3
    AND requested_min <= $4
ORDER BY first_index DESC LIMIT $5;

-- db.log.newest_time
SELECT first_index, requested_max FROM log_chunk
WHERE municipality_code = $1 ORDER BY first_index DESC LIMIT 1;

-- db.log.newest_time (admin log)
SELECT first_index, requested_max FROM admin_log_chunk
WHERE municipality_code = $1 ORDER BY first_index DESC LIMIT 1;

-- db.log.of_person
SELECT leaf_index FROM log_person
WHERE municipality_code = $1 AND unified_address_number = $2 AND leaf_index < $3
ORDER BY leaf_index DESC LIMIT $4;

-- db.log.oldest
SELECT first_index, leaf_count, requested_max, hashes, leaves FROM log_chunk
WHERE municipality_code = $1 AND first_index + leaf_count > $2
    AND first_index >= coalesce((
        SELECT max(first_index) FROM log_chunk
        WHERE municipality_code = $1 AND first_index <= $2), 0)
ORDER BY first_index LIMIT $3;

-- db.log.oldest (admin log)
SELECT first_index, leaf_count, requested_max, hashes, leaves FROM admin_log_chunk
WHERE municipality_code = $1 AND first_index + leaf_count > $2
    AND first_index >= coalesce((
        SELECT max(first_index) FROM admin_log_chunk
        WHERE municipality_code = $1 AND first_index <= $2), 0)
ORDER BY first_index LIMIT $3;

-- db.log.people
SELECT first_index, details FROM log_details
WHERE municipality_code = $1
    AND first_index >= coalesce((
        SELECT max(first_index) FROM log_details
        WHERE municipality_code = $1 AND first_index <= $2), 0)
ORDER BY first_index LIMIT $3;

-- db.log.people (admin log)
SELECT first_index, details FROM admin_log_details
WHERE municipality_code = $1
    AND first_index >= coalesce((
        SELECT max(first_index) FROM admin_log_details
        WHERE municipality_code = $1 AND first_index <= $2), 0)
ORDER BY first_index LIMIT $3;

-- db.log.size
SELECT size FROM log_head WHERE municipality_code = $1;

-- db.log.size (admin log)
SELECT size FROM admin_log_head WHERE municipality_code = $1;

-- db.log.tile
SELECT hashes FROM log_tile
WHERE municipality_code = $1 AND level = $2 AND tile_index = $3;

-- db.log.tile (admin log)
SELECT hashes FROM admin_log_tile
WHERE municipality_code = $1 AND level = $2 AND tile_index = $3;

-- db.log.tile: leaves
SELECT first_index, hashes FROM log_chunk
WHERE municipality_code = $1 AND first_index < $3
    AND first_index >= coalesce((
        SELECT max(first_index) FROM log_chunk
        WHERE municipality_code = $1 AND first_index <= $2), 0)
ORDER BY first_index;

-- db.log.tile: leaves (admin log)
SELECT first_index, hashes FROM admin_log_chunk
WHERE municipality_code = $1 AND first_index < $3
    AND first_index >= coalesce((
        SELECT max(first_index) FROM admin_log_chunk
        WHERE municipality_code = $1 AND first_index <= $2), 0)
ORDER BY first_index;

-- db.log_checkpoint.from
SELECT size, root, note FROM log_checkpoint
WHERE municipality_code = $1 AND size >= $2 ORDER BY size LIMIT $3;

-- db.log_checkpoint.from (admin log)
SELECT size, root, note FROM admin_log_checkpoint
WHERE municipality_code = $1 AND size >= $2 ORDER BY size LIMIT $3;

-- db.log_checkpoint.insert
INSERT INTO log_checkpoint (municipality_code, size, root, note, signed_at)
VALUES ($1, $2, $3, $4, $5);

-- db.log_checkpoint.insert (admin log)
INSERT INTO admin_log_checkpoint (municipality_code, size, root, note, signed_at)
VALUES ($1, $2, $3, $4, $5);

-- db.log_checkpoint.newest
SELECT size, root, note FROM log_checkpoint
WHERE municipality_code = $1 ORDER BY size DESC LIMIT 1;

-- db.log_checkpoint.newest (admin log)
SELECT size, root, note FROM admin_log_checkpoint
WHERE municipality_code = $1 ORDER BY size DESC LIMIT 1;

-- db.log_checkpoint.thin_out
DELETE FROM log_checkpoint
WHERE municipality_code = $1
    AND size < (
        SELECT min(size) FROM (
            SELECT size FROM log_checkpoint
            WHERE municipality_code = $1 ORDER BY size DESC LIMIT 1000) AS newest)
    AND size NOT IN (
        SELECT max(size) FROM log_checkpoint
        WHERE municipality_code = $1 GROUP BY (signed_at + 32400000000) / 86400000000);

-- db.log_checkpoint.thin_out (admin log)
DELETE FROM admin_log_checkpoint
WHERE municipality_code = $1
    AND size < (
        SELECT min(size) FROM (
            SELECT size FROM admin_log_checkpoint
            WHERE municipality_code = $1 ORDER BY size DESC LIMIT 1000) AS newest)
    AND size NOT IN (
        SELECT max(size) FROM admin_log_checkpoint
        WHERE municipality_code = $1 GROUP BY (signed_at + 32400000000) / 86400000000);

-- db.log_checkpoint.times
SELECT size, signed_at FROM log_checkpoint
WHERE municipality_code = $1 AND size >= $2 ORDER BY size LIMIT $3;

-- db.log_checkpoint.times (admin log)
SELECT size, signed_at FROM admin_log_checkpoint
WHERE municipality_code = $1 AND size >= $2 ORDER BY size LIMIT $3;

-- db.log_details.erase
UPDATE log_details SET details = $3
WHERE municipality_code = $1 AND first_index = $2;

-- db.log_details.erase: search index
DELETE FROM log_person
WHERE municipality_code = $1 AND unified_address_number = $2 AND leaf_index = $3;

-- db.log_index.extend
WITH new (filled, c0, c1) AS (
    VALUES (?, ?, ?))
INSERT INTO log_person (municipality_code, unified_address_number, leaf_index)
SELECT ?, new.c0, new.c1
FROM new WHERE new.filled ON CONFLICT DO NOTHING;

-- db.log_index.extend: size
INSERT INTO log_index_head (municipality_code, size)
VALUES ($1, $2)
ON CONFLICT (municipality_code) DO UPDATE SET size = excluded.size
WHERE log_index_head.size < excluded.size;

-- db.log_index.size
SELECT size FROM log_index_head WHERE municipality_code = $1;

-- db.log_key.all
SELECT version, public_key, signs_since, signs_until FROM log_key
WHERE municipality_code = $1 ORDER BY version;

-- db.log_key.set
INSERT INTO log_key (municipality_code, version, public_key, signs_since, signs_until)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (municipality_code, version) DO UPDATE SET signs_until = excluded.signs_until;

-- db.log_retention.place
SELECT first_index FROM log_retention WHERE municipality_code = $1 AND kind = $2;

-- db.log_retention.set
INSERT INTO log_retention (municipality_code, kind, first_index)
VALUES ($1, $2, $3)
ON CONFLICT (municipality_code, kind) DO UPDATE SET first_index = excluded.first_index;

-- db.municipalities
SELECT municipality_code FROM log_head ORDER BY municipality_code;

-- db.number_sequence.issue
INSERT INTO number_sequence (municipality_code, next_body)
VALUES ($1, 1 + CAST($2 AS bigint))
ON CONFLICT (municipality_code)
    DO UPDATE SET next_body = number_sequence.next_body + excluded.next_body - 1
RETURNING next_body;

-- db.number_sequence.issue: people between
SELECT count(*),
    group_concat(unified_address_number, char(31))
FROM person
WHERE municipality_code = $1 AND unified_address_number >= $2
    AND unified_address_number <= $3;

-- db.open
SELECT size FROM log_head WHERE municipality_code = $1;

-- db.open: log head
INSERT INTO log_head (municipality_code, size, frontier)
VALUES ($1, 0, $2)
ON CONFLICT (municipality_code) DO NOTHING;

-- db.person.erase: count
INSERT INTO change_sequence (municipality_code, last, erasures)
VALUES ($1, 0, 1)
ON CONFLICT (municipality_code) DO UPDATE SET erasures = change_sequence.erasures + 1;

-- db.person.erase: entries of feeds
UPDATE feed_change SET entries = $4
WHERE municipality_code = $1 AND feed_number = $2 AND last_sequence = $3;

-- db.person.erase: feeds
SELECT feed_number, last_sequence, entries FROM feed_change
WHERE municipality_code = $1 AND entries LIKE '%' || $2 || '%';

-- db.person.erase: former records
DELETE FROM record_history
WHERE municipality_code = $1 AND superseded_by = $2 RETURNING change_sequence;

-- db.person.erase: key
DELETE FROM person_key
WHERE municipality_code = $1 AND unified_address_number = $2;

-- db.person.erase: last entries of feeds
DELETE FROM feed_change
WHERE municipality_code = $1 AND feed_number = $2 AND last_sequence = $3;

-- db.person.erase: links
DELETE FROM link WHERE municipality_code = $1 AND unified_address_number = $2;

-- db.person.erase: newest records
SELECT change_sequence FROM record
WHERE municipality_code = $1 AND unified_address_number = $2;

-- db.person.erase: personal numbers
DELETE FROM personal_number
WHERE municipality_code = $1 AND unified_address_number = $2;

-- db.person.erase: records
DELETE FROM record WHERE municipality_code = $1 AND unified_address_number = $2;

-- db.person.erase: review cases
DELETE FROM review_case
WHERE municipality_code = $1
    AND (unified_address_number = $2 OR other_unified_address_number = $2);

-- db.person.erase: search index of the log
DELETE FROM log_person
WHERE municipality_code = $1 AND unified_address_number = $2;

-- db.person.erase: views
DELETE FROM person_view
WHERE municipality_code = $1 AND system_id = $2 AND local_address_number = $3;

-- db.person.existing
SELECT count(*),
    group_concat(unified_address_number, char(31))
FROM person WHERE municipality_code = $1
    AND unified_address_number IN (SELECT value FROM json_each($2));

-- db.person.existing (a range)
SELECT count(*),
    group_concat(unified_address_number, char(31))
FROM person WHERE municipality_code = $1
    AND unified_address_number BETWEEN json_extract($2, '$[0]') AND json_extract($2, '$[#-1]');

-- db.person.insert
WITH new (filled, c0, c1, c2) AS (
    VALUES (?, ?, ?, ?))
INSERT INTO person (municipality_code, unified_address_number, migrated, created_at)
SELECT ?, new.c0, new.c1, new.c2
FROM new WHERE new.filled;

-- db.person.insert: keys
WITH new (filled, c0, c1, c2) AS (
    VALUES (?, ?, ?, ?))
INSERT INTO person_key (municipality_code, unified_address_number, kek_id, wrapped_key)
SELECT ?, new.c0, new.c1, new.c2
FROM new WHERE new.filled;

-- db.person.last_use: leaf
SELECT leaf_index FROM log_person
WHERE municipality_code = $1 AND unified_address_number = $2
ORDER BY leaf_index DESC LIMIT 1;

-- db.person.last_use: records
SELECT coalesce(max(stored_at), 0) FROM record
WHERE municipality_code = $1 AND unified_address_number = $2;

-- db.person.last_use: time of the leaf
SELECT requested_max FROM log_chunk
WHERE municipality_code = $1 AND first_index <= $2 ORDER BY first_index DESC LIMIT 1;

-- db.person_key.list
SELECT count(*),
    group_concat(unified_address_number, char(31)),
    group_concat(kek_id, char(31)),
    group_concat(length(wrapped_key), char(31)), CAST(group_concat(wrapped_key, '') AS BLOB)
FROM person_key
WHERE municipality_code = $1 AND unified_address_number IN (SELECT value FROM json_each($2));

-- db.person_key.list (a range)
SELECT count(*),
    group_concat(unified_address_number, char(31)),
    group_concat(kek_id, char(31)),
    group_concat(length(wrapped_key), char(31)), CAST(group_concat(wrapped_key, '') AS BLOB)
FROM person_key
WHERE municipality_code = $1 AND unified_address_number BETWEEN json_extract($2, '$[0]')
    AND json_extract($2, '$[#-1]');

-- db.person_key.old
SELECT unified_address_number, kek_id, wrapped_key FROM person_key
WHERE municipality_code = $1 AND kek_id <> $2 AND unified_address_number > $3
ORDER BY unified_address_number LIMIT $4;

-- db.person_key.replace
UPDATE person_key SET kek_id = $3, wrapped_key = $4
WHERE municipality_code = $1 AND unified_address_number = $2;

-- db.person_key.use
SELECT kek_id, count(*) FROM person_key
WHERE municipality_code = $1 GROUP BY kek_id ORDER BY kek_id;

-- db.person_view.heads
SELECT count(*),
    group_concat(view.local_address_number, char(31)),
    group_concat(view.revision, char(31)),
    group_concat(length(view.content_mac), char(31)),
        CAST(group_concat(view.content_mac, '') AS BLOB)
FROM person_view AS view
WHERE view.municipality_code = $1 AND view.system_id = $2
    AND view.local_address_number IN (SELECT value FROM json_each($3))
    AND view.revision = (
        SELECT max(newest.revision) FROM person_view AS newest
        WHERE newest.municipality_code = $1 AND newest.system_id = $2
            AND newest.local_address_number = view.local_address_number);

-- db.person_view.heads (a range)
SELECT count(*),
    group_concat(view.local_address_number, char(31)),
    group_concat(view.revision, char(31)),
    group_concat(length(view.content_mac), char(31)),
        CAST(group_concat(view.content_mac, '') AS BLOB)
FROM person_view AS view
WHERE view.municipality_code = $1 AND view.system_id = $2
    AND view.local_address_number BETWEEN json_extract($3, '$[0]') AND json_extract($3, '$[#-1]')
    AND view.revision = (
        SELECT max(newest.revision) FROM person_view AS newest
        WHERE newest.municipality_code = $1 AND newest.system_id = $2
            AND newest.local_address_number = view.local_address_number);

-- db.person_view.insert
WITH new (filled, c0, c1, c2, c3, c4, c5, c6) AS (
    VALUES (?, ?, ?, ?, ?, ?, ?, ?))
INSERT INTO person_view (municipality_code, system_id, local_address_number, revision, sealed,
    content_mac, protected, stored_at)
SELECT ?, new.c0, new.c1, new.c2, new.c3, new.c4, new.c5, new.c6
FROM new WHERE new.filled;

-- db.person_view.is_protected
SELECT count(*) FROM link
WHERE municipality_code = $1 AND unified_address_number = $2
    AND 1 = (
        SELECT protected FROM person_view AS view
        WHERE view.municipality_code = $1 AND view.system_id = link.system_id
            AND view.local_address_number = link.local_address_number
        ORDER BY view.revision DESC LIMIT 1);

-- db.person_view.newest
SELECT revision, sealed FROM person_view
WHERE municipality_code = $1 AND system_id = $2 AND local_address_number = $3
ORDER BY revision DESC LIMIT 1;

-- db.person_view.of_person
SELECT revision, sealed, stored_at FROM person_view
WHERE municipality_code = $1 AND system_id = $2 AND local_address_number = $3
ORDER BY revision DESC LIMIT 1;

-- db.person_view.of_person: links
SELECT system_id, local_address_number FROM link
WHERE municipality_code = $1 AND unified_address_number = $2;

-- db.person_view.sealed
SELECT count(*),
    group_concat(view.local_address_number, char(31)),
    group_concat(view.revision, char(31)),
    group_concat(length(view.sealed), char(31)), CAST(group_concat(view.sealed, '') AS BLOB)
FROM person_view AS view
WHERE view.municipality_code = $1 AND view.system_id = $2
    AND view.local_address_number IN (SELECT value FROM json_each($3))
    AND view.revision = (
        SELECT max(newest.revision) FROM person_view AS newest
        WHERE newest.municipality_code = $1 AND newest.system_id = $2
            AND newest.local_address_number = view.local_address_number);

-- db.person_view.sealed (a range)
SELECT count(*),
    group_concat(view.local_address_number, char(31)),
    group_concat(view.revision, char(31)),
    group_concat(length(view.sealed), char(31)), CAST(group_concat(view.sealed, '') AS BLOB)
FROM person_view AS view
WHERE view.municipality_code = $1 AND view.system_id = $2
    AND view.local_address_number BETWEEN json_extract($3, '$[0]') AND json_extract($3, '$[#-1]')
    AND view.revision = (
        SELECT max(newest.revision) FROM person_view AS newest
        WHERE newest.municipality_code = $1 AND newest.system_id = $2
            AND newest.local_address_number = view.local_address_number);

-- db.personal_number.by_index
SELECT count(*),
    group_concat(length(blind_index), char(31)), CAST(group_concat(blind_index, '') AS BLOB),
    group_concat(unified_address_number, char(31))
FROM personal_number WHERE municipality_code = $1
    AND blind_index IN (SELECT unhex(value) FROM json_each($2));

-- db.personal_number.current
SELECT sequence, sealed FROM personal_number
WHERE municipality_code = $1 AND unified_address_number = $2 AND superseded_at = 0;

-- db.personal_number.current_index
SELECT count(*),
    group_concat(unified_address_number, char(31)),
    group_concat(length(blind_index), char(31)), CAST(group_concat(blind_index, '') AS BLOB)
FROM personal_number
WHERE municipality_code = $1 AND superseded_at = 0
    AND unified_address_number IN (SELECT value FROM json_each($2));

-- db.personal_number.current_index (a range)
SELECT count(*),
    group_concat(unified_address_number, char(31)),
    group_concat(length(blind_index), char(31)), CAST(group_concat(blind_index, '') AS BLOB)
FROM personal_number
WHERE municipality_code = $1 AND superseded_at = 0
    AND unified_address_number BETWEEN json_extract($2, '$[0]') AND json_extract($2, '$[#-1]');

-- db.personal_number.insert
WITH new (filled, c0, c1, c2, c3, c4, c5) AS (
    VALUES (?, ?, ?, ?, ?, ?, ?))
INSERT INTO personal_number (municipality_code, unified_address_number, sequence, index_version,
    blind_index, sealed, effective_date)
SELECT ?, new.c0, new.c1, new.c2, new.c3, new.c4, new.c5
FROM new WHERE new.filled;

-- db.personal_number.next_sequence
SELECT coalesce(max(sequence), 0) + 1 FROM personal_number
WHERE municipality_code = $1 AND unified_address_number = $2;

-- db.personal_number.old
SELECT unified_address_number, sequence, sealed, blind_index FROM personal_number
WHERE municipality_code = $1 AND index_version <> $2 AND blind_index > $3
ORDER BY blind_index LIMIT $4;

-- db.personal_number.replace_index
UPDATE personal_number SET blind_index = $3, index_version = $4
WHERE municipality_code = $1 AND blind_index = $2;

-- db.personal_number.supersede
UPDATE personal_number SET superseded_at = $3
WHERE municipality_code = $1 AND unified_address_number = $2 AND superseded_at = 0;

-- db.personal_number.take_back
UPDATE personal_number SET superseded_at = 0
WHERE municipality_code = $1 AND unified_address_number = $2 AND sequence = $3;

-- db.personal_number.take_back: former
SELECT sequence FROM personal_number
WHERE municipality_code = $1 AND unified_address_number = $2 AND blind_index = $3;

-- db.personal_number.take_back: later ones
DELETE FROM personal_number
WHERE municipality_code = $1 AND unified_address_number = $2 AND sequence > $3;

-- db.personal_number.use
SELECT index_version, count(*) FROM personal_number
WHERE municipality_code = $1 GROUP BY index_version ORDER BY index_version;

-- db.probe
UPDATE log_head SET size = size WHERE municipality_code = $1;

-- db.record.current
SELECT count(*),
    group_concat(unified_address_number, char(31)),
    group_concat(dataset, char(31)),
    group_concat(record_key, char(31)),
    group_concat(revision, char(31)),
    group_concat(length(sealed), char(31)), CAST(group_concat(sealed, '') AS BLOB)
FROM record
WHERE municipality_code = $1 AND deleted = 0 AND dataset IN (SELECT value FROM json_each($2))
    AND unified_address_number IN (SELECT value FROM json_each($3));

-- db.record.current (a range)
SELECT count(*),
    group_concat(unified_address_number, char(31)),
    group_concat(dataset, char(31)),
    group_concat(record_key, char(31)),
    group_concat(revision, char(31)),
    group_concat(length(sealed), char(31)), CAST(group_concat(sealed, '') AS BLOB)
FROM record
WHERE municipality_code = $1 AND deleted = 0 AND dataset IN (SELECT value FROM json_each($2))
    AND unified_address_number BETWEEN json_extract($3, '$[0]') AND json_extract($3, '$[#-1]');

-- db.record.exact
SELECT count(*),
    group_concat(change_sequence, char(31)),
    group_concat(unified_address_number, char(31)),
    group_concat(dataset, char(31)),
    group_concat(record_key, char(31)),
    group_concat(revision, char(31)),
    group_concat(deleted, char(31)),
    group_concat(length(sealed), char(31)), CAST(group_concat(sealed, '') AS BLOB)
FROM record
WHERE municipality_code = $1 AND dataset = $2 AND record_key IN (SELECT value FROM json_each($3));

-- db.record.exact: former
SELECT count(*),
    group_concat(change_sequence, char(31)),
    group_concat(unified_address_number, char(31)),
    group_concat(dataset, char(31)),
    group_concat(record_key, char(31)),
    group_concat(revision, char(31)),
    group_concat(deleted, char(31)),
    group_concat(length(sealed), char(31)), CAST(group_concat(sealed, '') AS BLOB)
FROM record_history WHERE municipality_code = $1
    AND superseded_by IN (SELECT value FROM json_each($2));

-- db.record.heads: by key
SELECT count(*),
    group_concat(record_key, char(31)),
    group_concat(unified_address_number, char(31)),
    group_concat(revision, char(31)),
    group_concat(deleted, char(31)),
    group_concat(length(content_mac), char(31)), CAST(group_concat(content_mac, '') AS BLOB),
    group_concat(length(sealed), char(31)), CAST(group_concat(sealed, '') AS BLOB),
    group_concat(record_number, char(31))
FROM record INDEXED BY record_by_key
WHERE municipality_code = $1 AND dataset = $2 AND record_key IN (SELECT value FROM json_each($3));

-- db.record.heads: by person and key
SELECT count(*),
    group_concat(record_key, char(31)),
    group_concat(unified_address_number, char(31)),
    group_concat(revision, char(31)),
    group_concat(deleted, char(31)),
    group_concat(length(content_mac), char(31)), CAST(group_concat(content_mac, '') AS BLOB),
    group_concat(length(sealed), char(31)), CAST(group_concat(sealed, '') AS BLOB),
    group_concat(record_number, char(31))
FROM record
WHERE municipality_code = $1 AND dataset = $2
    AND (unified_address_number, record_key) IN (SELECT substr(value, 1, 15),
        substr(value, 16) FROM json_each($3));

-- db.record.heads: keys between
SELECT 1 FROM record INDEXED BY record_by_key
WHERE municipality_code = $1 AND dataset = $2 AND record_key BETWEEN $3 AND $4
ORDER BY record_key LIMIT 1;

-- db.record.insert: former
INSERT INTO record_history (
    municipality_code, superseded_by, dataset, record_key, revision,
    unified_address_number, change_sequence, deleted, sealed, content_mac, stored_at)
SELECT record.municipality_code, $4 + listed.key, record.dataset, record.record_key,
    record.revision, record.unified_address_number, record.change_sequence,
    record.deleted, record.sealed, record.content_mac, record.stored_at
FROM json_each($3) AS listed CROSS JOIN record
WHERE record.municipality_code = $1 AND record.dataset = $2
    AND (record.unified_address_number, record.record_key)
        = (substr(listed.value, 1, 15), substr(listed.value, 16));

-- db.record.insert: new records
WITH new (filled, c0, c1, c2, c3, c4, c5, c6, c7, c8, c9) AS (
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?))
INSERT INTO record (municipality_code, unified_address_number, dataset, record_key, revision,
    change_sequence, deleted, sealed, content_mac, stored_at, record_number)
SELECT ?, new.c0, new.c1, new.c2, new.c3, new.c4, new.c5, new.c6, new.c7, new.c8, new.c9
FROM new WHERE new.filled;

-- db.record.insert: newer revisions
WITH new (filled, c0, c1, c2, c3, c4, c5, c6, c7, c8, c9) AS (
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?))
INSERT INTO record (municipality_code, unified_address_number, dataset, record_key, revision,
    change_sequence, deleted, sealed, content_mac, stored_at, record_number)
SELECT ?, new.c0, new.c1, new.c2, new.c3, new.c4, new.c5, new.c6, new.c7, new.c8, new.c9
FROM new WHERE new.filled ON CONFLICT (municipality_code, unified_address_number, dataset,
    record_key) DO UPDATE
    SET revision = excluded.revision, change_sequence = excluded.change_sequence,
        deleted = excluded.deleted, sealed = excluded.sealed,
        content_mac = excluded.content_mac, stored_at = excluded.stored_at,
        record_number = excluded.record_number;

-- db.record.numbered
SELECT count(*),
    group_concat(unified_address_number, char(31)),
    group_concat(dataset, char(31)),
    group_concat(record_key, char(31)),
    group_concat(revision, char(31)),
    group_concat(length(sealed), char(31)), CAST(group_concat(sealed, '') AS BLOB),
    group_concat(deleted, char(31)),
    group_concat(record_number, char(31)),
    group_concat(change_sequence, char(31))
FROM record
WHERE municipality_code = $1 AND dataset IN (SELECT value FROM json_each($2))
    AND unified_address_number IN (SELECT value FROM json_each($3));

-- db.record.numbered (a range)
SELECT count(*),
    group_concat(unified_address_number, char(31)),
    group_concat(dataset, char(31)),
    group_concat(record_key, char(31)),
    group_concat(revision, char(31)),
    group_concat(length(sealed), char(31)), CAST(group_concat(sealed, '') AS BLOB),
    group_concat(deleted, char(31)),
    group_concat(record_number, char(31)),
    group_concat(change_sequence, char(31))
FROM record
WHERE municipality_code = $1 AND dataset IN (SELECT value FROM json_each($2))
    AND unified_address_number BETWEEN json_extract($3, '$[0]') AND json_extract($3, '$[#-1]');

-- db.record.status
SELECT count(*) FILTER (WHERE deleted = 0), count(*) FILTER (WHERE deleted = 1),
    coalesce(max(revision), 0),
    (SELECT count(*) FROM record_history WHERE municipality_code = $1 AND dataset = $2)
FROM record WHERE municipality_code = $1 AND dataset = $2;

-- db.review_case.open
INSERT INTO review_case (municipality_code, case_id, kind, system_id, local_address_number,
    unified_address_number, other_unified_address_number, sealed, content_mac, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (municipality_code, content_mac) DO NOTHING;

-- db.review_case.open: find
SELECT case_id FROM review_case
WHERE municipality_code = $1 AND content_mac = $2;
