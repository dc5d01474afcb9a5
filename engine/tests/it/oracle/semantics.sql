-- What an expression of a cohort means, said in PostgreSQL: whole numbers have 64 bits, numbers are doubles, days are of
-- the years 1 to 9999, and what has no answer is NULL. Volatile, so that nothing is folded while planning.

CREATE FUNCTION o_big(x numeric) RETURNS bigint LANGUAGE plpgsql AS $$
  BEGIN RETURN x::bigint; EXCEPTION WHEN data_exception THEN RETURN NULL; END $$;
CREATE FUNCTION o_add(a bigint, b bigint) RETURNS bigint LANGUAGE sql AS $$ SELECT o_big(a::numeric + b::numeric) $$;
CREATE FUNCTION o_sub(a bigint, b bigint) RETURNS bigint LANGUAGE sql AS $$ SELECT o_big(a::numeric - b::numeric) $$;
CREATE FUNCTION o_mul(a bigint, b bigint) RETURNS bigint LANGUAGE sql AS $$ SELECT o_big(a::numeric * b::numeric) $$;
CREATE FUNCTION o_div(a bigint, b bigint) RETURNS bigint LANGUAGE plpgsql AS $$
  BEGIN RETURN a / b; EXCEPTION WHEN data_exception THEN RETURN NULL; END $$;
CREATE FUNCTION o_mod(a bigint, b bigint) RETURNS bigint LANGUAGE plpgsql AS $$
  BEGIN RETURN a % b; EXCEPTION WHEN data_exception THEN RETURN NULL; END $$;
CREATE FUNCTION o_neg(a bigint) RETURNS bigint LANGUAGE sql AS $$ SELECT o_big(-(a::numeric)) $$;
CREATE FUNCTION o_abs(a bigint) RETURNS bigint LANGUAGE sql AS $$ SELECT o_big(abs(a::numeric)) $$;

-- Where a double leaves its range, PostgreSQL fails, upwards and downwards alike; downwards the answer is zero.
CREATE FUNCTION o_add(a float8, b float8) RETURNS float8 LANGUAGE plpgsql AS $$
  BEGIN RETURN a + b; EXCEPTION WHEN data_exception THEN RETURN NULL; END $$;
CREATE FUNCTION o_sub(a float8, b float8) RETURNS float8 LANGUAGE plpgsql AS $$
  BEGIN RETURN a - b; EXCEPTION WHEN data_exception THEN RETURN NULL; END $$;
CREATE FUNCTION o_mul(a float8, b float8) RETURNS float8 LANGUAGE plpgsql AS $$
  BEGIN RETURN a * b; EXCEPTION WHEN data_exception THEN
    RETURN CASE WHEN abs(a) < 1 OR abs(b) < 1 THEN 0 END; END $$;
CREATE FUNCTION o_div(a float8, b float8) RETURNS float8 LANGUAGE plpgsql AS $$
  BEGIN RETURN a / b; EXCEPTION WHEN division_by_zero THEN RETURN NULL; WHEN data_exception THEN
    RETURN CASE WHEN abs(a) < abs(b) THEN 0 END; END $$;
CREATE FUNCTION o_mod(a float8, b float8) RETURNS float8 LANGUAGE plpgsql AS $$
  BEGIN RETURN mod(a::numeric, b::numeric)::float8; EXCEPTION WHEN data_exception THEN RETURN NULL; END $$;
CREATE FUNCTION o_exp(a float8) RETURNS float8 LANGUAGE plpgsql AS $$
  BEGIN RETURN exp(a); EXCEPTION WHEN data_exception THEN RETURN CASE WHEN a < 0 THEN 0 END; END $$;
CREATE FUNCTION o_ln(a float8) RETURNS float8 LANGUAGE plpgsql AS $$
  BEGIN RETURN ln(a); EXCEPTION WHEN data_exception THEN RETURN NULL; END $$;
CREATE FUNCTION o_log10(a float8) RETURNS float8 LANGUAGE plpgsql AS $$
  BEGIN RETURN log(a); EXCEPTION WHEN data_exception THEN RETURN NULL; END $$;
CREATE FUNCTION o_log(base float8, a float8) RETURNS float8 LANGUAGE sql AS $$ SELECT o_div(o_ln(a), o_ln(base)) $$;
CREATE FUNCTION o_log2(a float8) RETURNS float8 LANGUAGE sql AS $$ SELECT o_div(o_ln(a), ln(2::float8)) $$;
CREATE FUNCTION o_sqrt(a float8) RETURNS float8 LANGUAGE plpgsql AS $$
  BEGIN RETURN sqrt(a); EXCEPTION WHEN data_exception THEN RETURN NULL; END $$;
CREATE FUNCTION o_power(a float8, b float8) RETURNS float8 LANGUAGE plpgsql AS $$
  BEGIN RETURN power(a, b); EXCEPTION
    WHEN numeric_value_out_of_range THEN RETURN CASE WHEN (abs(a) < 1) = (b > 0) THEN 0 END;
    WHEN data_exception THEN RETURN NULL; END $$;
-- Halves are rounded away from zero.
CREATE FUNCTION o_round(a float8) RETURNS float8 LANGUAGE sql AS $$
  SELECT CASE WHEN abs(a - trunc(a)) >= 0.5 THEN trunc(a) + sign(a) ELSE trunc(a) END $$;
CREATE FUNCTION o_digits(a float8, digits bigint, cut boolean) RETURNS float8 LANGUAGE plpgsql AS $$
  DECLARE scale float8; scaled float8;
  BEGIN
    IF digits > 308 THEN RETURN a; ELSIF digits < -308 THEN RETURN a * 0; END IF;
    scale := power(10::float8, abs(digits)::float8);
    scaled := CASE WHEN digits >= 0 THEN o_mul(a, scale) ELSE o_div(a, scale) END;
    IF scaled IS NULL THEN RETURN CASE WHEN digits IS NOT NULL THEN a END; END IF;
    scaled := CASE WHEN cut THEN trunc(scaled) ELSE o_round(scaled) END;
    RETURN CASE WHEN digits >= 0 THEN o_div(scaled, scale) ELSE o_mul(scaled, scale) END;
  END $$;
CREATE FUNCTION o_round(a float8, digits bigint) RETURNS float8 LANGUAGE sql AS $$ SELECT o_digits(a, digits, false) $$;
CREATE FUNCTION o_trunc(a float8, digits bigint) RETURNS float8 LANGUAGE sql AS $$ SELECT o_digits(a, digits, true) $$;
-- Rounded to s digits after the point, NULL beyond p digits in all.
CREATE FUNCTION o_decimal(a float8, p bigint, s bigint) RETURNS float8 LANGUAGE sql AS $$
  SELECT CASE WHEN abs(o_round(a, s)) < power(10::float8, (p - s)::float8) THEN o_round(a, s) END $$;
CREATE FUNCTION o_isnan(a float8) RETURNS boolean LANGUAGE sql AS $$ SELECT a = 'NaN'::float8 $$;

CREATE FUNCTION o_near(n bigint) RETURNS int LANGUAGE sql AS $$
  SELECT CASE WHEN n > 1000000 THEN 1000000 WHEN n < -1000000 THEN -1000000 ELSE n END::int $$;
CREATE FUNCTION o_left(s text, n bigint) RETURNS text LANGUAGE sql AS $$
  SELECT left(s, o_near(n)) $$;
CREATE FUNCTION o_right(s text, n bigint) RETURNS text LANGUAGE sql AS $$
  SELECT right(s, o_near(n)) $$;
CREATE FUNCTION o_substr(s text, n bigint) RETURNS text LANGUAGE sql AS $$
  SELECT substr(s, o_near(n)) $$;
CREATE FUNCTION o_substr(s text, n bigint, most bigint) RETURNS text LANGUAGE plpgsql AS $$
  BEGIN RETURN substr(s, o_near(n), o_near(most));
  EXCEPTION WHEN data_exception THEN RETURN NULL; END $$;

CREATE FUNCTION o_in(d date) RETURNS date LANGUAGE sql AS $$
  SELECT CASE WHEN d BETWEEN '0001-01-01' AND '9999-12-31' THEN d END $$;
CREATE FUNCTION o_in(t timestamp) RETURNS timestamp LANGUAGE sql AS $$
  SELECT CASE WHEN t >= '0001-01-01 00:00:00' AND t < '10000-01-01 00:00:00' THEN t END $$;
CREATE FUNCTION o_add(d date, n bigint) RETURNS date LANGUAGE sql AS $$
  SELECT CASE WHEN n NOT BETWEEN -4000000 AND 4000000 THEN NULL
    WHEN (d - '0001-01-01'::date) + n BETWEEN 0 AND '9999-12-31'::date - '0001-01-01'::date THEN d + n::int END $$;
CREATE FUNCTION o_shift(d date, i interval) RETURNS date LANGUAGE plpgsql AS $$
  BEGIN RETURN o_in((d::timestamp + i)::date); EXCEPTION WHEN data_exception THEN RETURN NULL; END $$;
CREATE FUNCTION o_shift(t timestamp, i interval) RETURNS timestamp LANGUAGE plpgsql AS $$
  BEGIN RETURN o_in(t + i); EXCEPTION WHEN data_exception THEN RETURN NULL; END $$;
CREATE FUNCTION o_date_trunc(part text, t timestamp) RETURNS timestamp LANGUAGE sql AS $$
  SELECT o_in(date_trunc(part, t)) $$;
CREATE FUNCTION o_make_date(y bigint, m bigint, d bigint) RETURNS date LANGUAGE plpgsql AS $$
  BEGIN IF y NOT BETWEEN 1 AND 9999 OR m NOT BETWEEN 1 AND 12 OR d NOT BETWEEN 1 AND 31 THEN RETURN NULL; END IF;
  RETURN make_date(y::int, m::int, d::int); EXCEPTION WHEN data_exception THEN RETURN NULL; END $$;

-- Towards zero, NULL beyond 64 bits.
CREATE FUNCTION o_int(x float8) RETURNS bigint LANGUAGE sql AS $$
  SELECT CASE WHEN x >= -9223372036854775808::float8 AND x < 9223372036854775808::float8 THEN trunc(x)::bigint END $$;
CREATE FUNCTION o_within(x bigint, low bigint, high bigint) RETURNS bigint LANGUAGE sql AS $$
  SELECT CASE WHEN x BETWEEN low AND high THEN x END $$;
-- Blanks around count for nothing.
CREATE FUNCTION o_int(s text) RETURNS bigint LANGUAGE plpgsql AS $$
  BEGIN RETURN CASE WHEN btrim(s) ~ '^[+-]?[0-9]+$' THEN btrim(s)::bigint END;
  EXCEPTION WHEN data_exception THEN RETURN NULL; END $$;
CREATE FUNCTION o_real(s text) RETURNS float8 LANGUAGE plpgsql AS $$
  BEGIN RETURN CASE WHEN btrim(s) ~ '^[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$' THEN btrim(s)::float8 END;
  EXCEPTION WHEN data_exception THEN RETURN NULL; END $$;
CREATE FUNCTION o_day(s text) RETURNS date LANGUAGE plpgsql AS $$
  BEGIN RETURN CASE WHEN btrim(s) ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}( [0-9]{2}:[0-9]{2}:[0-9]{2})?$' THEN o_in(btrim(s)::date) END;
  EXCEPTION WHEN data_exception THEN RETURN NULL; END $$;
CREATE FUNCTION o_moment(s text) RETURNS timestamp LANGUAGE plpgsql AS $$
  BEGIN RETURN CASE WHEN btrim(s) ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}( [0-9]{2}:[0-9]{2}:[0-9]{2})?$' THEN o_in(btrim(s)::timestamp) END;
  EXCEPTION WHEN data_exception THEN RETURN NULL; END $$;
CREATE FUNCTION o_truth(s text) RETURNS boolean LANGUAGE sql AS $$
  SELECT CASE WHEN lower(btrim(s)) IN ('true', 't', 'yes', 'y', 'on', '1') THEN true
    WHEN lower(btrim(s)) IN ('false', 'f', 'no', 'n', 'off', '0') THEN false END $$;

CREATE FUNCTION o_first(list anyarray) RETURNS anyelement LANGUAGE sql AS $$ SELECT list[1] $$;
CREATE FUNCTION o_last(list anyarray) RETURNS anyelement LANGUAGE sql AS $$ SELECT list[array_length(list, 1)] $$;
-- The n-th from the front or, below zero, from the back, of those that are not NULL.
CREATE FUNCTION o_nth(list anyarray, n bigint) RETURNS anyelement LANGUAGE sql AS $$
  SELECT (array_remove(list, NULL))[CASE WHEN n > 0 THEN n ELSE cardinality(array_remove(list, NULL)) + 1 + n END] $$;
CREATE FUNCTION o_median(list float8[]) RETURNS float8 LANGUAGE sql AS $$
  SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY x) FROM unnest(list) x $$;
