CREATE TABLE parts(id INTEGER PRIMARY KEY, name INTEGER UNIQUE, maker INTEGER, note TEXT);
CREATE INDEX parts_by_maker ON parts(maker);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12000)
  INSERT INTO parts
  SELECT i, i * 2654435761 % 4294967296, i * 104729 % 499, hex(zeroblob(100)) FROM n;
SELECT maker, count(*), max(length(note)) FROM parts WHERE maker < 50 GROUP BY maker;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000)
  SELECT sum(id), sum(length(note)) FROM n JOIN parts ON name = i * 31 % 12000 * 2654435761 % 4294967296;
DELETE FROM parts WHERE maker % 7 = 3;
