CREATE EXTENSION kham_pg;
SELECT * FROM ts_token_type('kham');
SELECT tokid, token FROM ts_parse('kham', 'ฉันรักภาษาไทย');
SELECT tokid, token FROM ts_parse('kham', 'PostgreSQL 15 ค้นหาข้อความ ๑๒๓');
SELECT count(*) FROM ts_parse('kham', '');
SELECT to_tsvector('kham', 'รถไฟฟ้ามหานครไปตลาด');
SELECT to_tsvector('kham', 'ฐานข้อมูลของเรามีข้อความภาษาไทย') @@ to_tsquery('kham', 'ฐานข้อมูล & ข้อความ') AS hit;
SELECT to_tsvector('kham', 'ฐานข้อมูลของเรา') @@ to_tsquery('kham', 'รถไฟ') AS hit;
SELECT ts_headline('kham', 'ฉันอ่านหนังสือภาษาไทยในโรงเรียน', to_tsquery('kham', 'หนังสือ'));
-- what the dictionary does not know stays one token
SELECT token FROM ts_parse('kham', 'ฉันรักกุ๊กกิ๊ก');
-- an index over many rows
CREATE TABLE pages (id int, body text);
INSERT INTO pages SELECT n, CASE WHEN n % 100 = 0 THEN 'สถานีรถไฟ' ELSE 'ตลาดน้ำ' END || n FROM generate_series(1, 1000) AS n;
CREATE INDEX ON pages USING gin (to_tsvector('kham', body));
SET enable_seqscan = off;
SELECT count(*) FROM pages WHERE to_tsvector('kham', body) @@ to_tsquery('kham', 'สถานี');
SELECT count(*) FROM pages WHERE to_tsvector('kham', body) @@ to_tsquery('kham', '500');
DROP TABLE pages;
DROP EXTENSION kham_pg;
