// pgJDBC against the server: types in text and in binary, fetch size, batches, DatabaseMetaData, COPY, cancel, notifications.

import java.io.StringReader;
import java.io.StringWriter;
import java.math.BigDecimal;
import java.sql.*;
import java.time.LocalDate;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.*;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyManager;
import org.postgresql.core.BaseConnection;

class JdbcDriver {
    interface Body {
        void run() throws Exception;
    }

    static final String URL = "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/" + System.getenv("PGDATABASE");
    static int passed, failed;

    static void check(String name, Body body) {
        try {
            body.run();
            passed++;
            System.out.println("ok      " + name);
        } catch (Exception | AssertionError error) {
            failed++;
            StackTraceElement at = Arrays.stream(error.getStackTrace()).filter(e -> e.getClassName().startsWith("JdbcDriver")).reduce((a, b) -> a).get();
            var line = Arrays.stream(error.getStackTrace()).filter(e -> e.getClassName().startsWith("JdbcDriver") && !e.getMethodName().equals("equal")).findFirst().orElse(at);
            System.out.println("FAILED  " + name + ": " + String.valueOf(error.getMessage()).replace('\n', ' ') + " (line " + line.getLineNumber() + ")");
        }
    }

    static void equal(Object found, Object expected) {
        if (!Objects.equals(found, expected)) {
            throw new AssertionError("expected " + expected + ", found " + found);
        }
    }

    static SQLException raises(String state, Body body) throws Exception {
        try {
            body.run();
        } catch (SQLException error) {
            equal(error.getSQLState(), state);
            return error;
        }
        throw new AssertionError("there is no error " + state);
    }

    static Connection connect(String... options) throws SQLException {
        var properties = new Properties();
        properties.setProperty("user", System.getenv("PGUSER"));
        for (String option : options) {
            properties.setProperty(option.split("=")[0], option.split("=")[1]);
        }
        return DriverManager.getConnection(URL, properties);
    }

    /** The rows of a result: its named columns, joined by bars. */
    static List<String> rows(ResultSet result, String... columns) throws SQLException {
        var found = new ArrayList<String>();
        while (result.next()) {
            var row = new ArrayList<String>();
            for (String column : columns) {
                row.add(result.getString(column));
            }
            found.add(String.join("|", row.stream().map(String::valueOf).toList()));
        }
        return found;
    }

    static List<String> rows(Connection connection, String sql, String... columns) throws SQLException {
        try (var statement = connection.createStatement()) {
            return rows(statement.executeQuery(sql), columns);
        }
    }

    static void types(String... options) throws Exception {
        try (var connection = connect(options)) {
            var sql = "SELECT frame_no, ts, keyframe, width, source, frame, jpeg(frame, 32) AS picture, 1.5::float8 AS f,"
                + " '2026-05-01'::date AS day, ARRAY[1, 2]::int8[] AS list, NULL::int4 AS nothing, '00000000-0000-0000-0000-000000000005'::uuid AS id,"
                + " '{\"a\": 1}'::jsonb AS j FROM clip WHERE frame_no = ?";
            try (var statement = connection.prepareStatement(sql)) {
                // From the fifth time on the driver names the statement, and asks for binary where it can.
                for (long n = 1; n < 8; n++) {
                    statement.setLong(1, n);
                    var row = statement.executeQuery();
                    equal(row.next(), true);
                    equal(row.getLong("frame_no"), n);
                    equal(row.getObject("ts", OffsetDateTime.class), OffsetDateTime.of(1970, 1, 1, 0, 0, 0, (int) n * 40_000_000, ZoneOffset.UTC));
                    equal(row.getTimestamp("ts").getTime(), n * 40);
                    equal(row.getBoolean("keyframe"), false);
                    equal(row.getInt("width"), 1280);
                    equal(row.getString("frame"), "clip#" + n + " 1280x720");
                    equal(row.getBytes("picture")[0], (byte) 0xff);
                    equal(row.getDouble("f"), 1.5);
                    equal(row.getObject("day", LocalDate.class), LocalDate.of(2026, 5, 1));
                    equal(Arrays.asList((Long[]) row.getArray("list").getArray()), List.of(1L, 2L));
                    equal(row.getInt("nothing"), 0);
                    equal(row.wasNull(), true);
                    equal(row.getObject("id"), new UUID(0, 5));
                    equal(row.getString("j").replace(" ", ""), "{\"a\":1}");
                }
                var meta = statement.getMetaData();
                equal(List.of(meta.getColumnTypeName(1), meta.getColumnTypeName(2), meta.getColumnTypeName(3)), List.of("int8", "timestamptz", "bool"));
                equal(List.of(meta.getColumnType(1), meta.getColumnType(4), meta.getColumnClassName(8)), List.of(Types.BIGINT, Types.INTEGER, "java.lang.Double"));
            }
        }
    }

    static void numerics() throws Exception {
        try (var connection = connect(); var statement = connection.createStatement()) {
            var row = statement.executeQuery("SELECT 1.25::numeric AS n, 1.5::numeric(6, 3) AS m");
            row.next();
            equal(List.of(row.getBigDecimal("n"), row.getBigDecimal("m")), List.of(new BigDecimal("1.25"), new BigDecimal("1.500")));
        }
    }

    static void parameters() throws Exception {
        try (var connection = connect(); var statement = connection.prepareStatement(
                "SELECT count(*) FROM clip WHERE frame_no < ? AND source = ? AND ts >= ? AND frame_no = ANY(?)")) {
            equal(statement.getParameterMetaData().getParameterCount(), 4);
            statement.setInt(1, 10);
            statement.setString(2, "clip");
            statement.setObject(3, OffsetDateTime.of(1970, 1, 1, 0, 0, 0, 0, ZoneOffset.UTC));
            statement.setArray(4, connection.createArrayOf("int8", new Long[] {3L, 5L, 50L}));
            for (int n = 0; n < 7; n++) {
                var row = statement.executeQuery();
                row.next();
                equal(row.getLong(1), 2L);
            }
        }
    }

    static void fetchSize() throws Exception {
        try (var connection = connect()) {
            connection.setAutoCommit(false);
            try (var statement = connection.createStatement()) {
                statement.setFetchSize(50);
                var result = statement.executeQuery("SELECT frame_no FROM clip ORDER BY frame_no");
                long n = 0;
                while (result.next()) {
                    equal(result.getLong(1), n++);
                }
                equal(n, 300L);
                // A query without an end gives its first rows at once.
                statement.setFetchSize(1);
                result = statement.executeQuery("SUBSCRIBE live");
                equal(result.next() && result.next(), true);
                equal(result.getInt("diff"), 1);
                result.close();
                statement.setMaxRows(7);
                equal(rows(statement.executeQuery("SELECT frame_no FROM clip"), "frame_no").size(), 7);
            }
            connection.commit();
        }
    }

    static void tables() throws Exception {
        try (var connection = connect("reWriteBatchedInserts=true"); var statement = connection.createStatement()) {
            statement.execute("CREATE TABLE notes (id int8 PRIMARY KEY, text varchar(20), at timestamptz)");
            try (var insert = connection.prepareStatement("INSERT INTO notes VALUES (?, ?, ?)")) {
                for (int n = 0; n < 20; n++) {
                    insert.setLong(1, n);
                    insert.setString(2, n % 2 == 0 ? "n" + n : null);
                    insert.setTimestamp(3, new Timestamp(n));
                    insert.addBatch();
                }
                equal(insert.executeBatch().length, 20);
            }
            equal(statement.executeUpdate("UPDATE notes SET text = 'x' WHERE id < 3"), 3);
            var copy = new CopyManager((BaseConnection) connection);
            equal(copy.copyIn("COPY notes (id, text) FROM STDIN WITH (FORMAT csv)", new StringReader("100,a\n101,\n")), 2L);
            var out = new StringWriter();
            equal(copy.copyOut("COPY (SELECT id, text FROM notes WHERE id > 18 ORDER BY id) TO STDOUT WITH (FORMAT csv)", out), 3L);
            equal(out.toString(), "19,\n100,a\n101,\n");
            raises("23505", () -> statement.execute("INSERT INTO notes (id) VALUES (1)"));
            statement.execute("DROP TABLE notes");
        }
    }

    static void catalogue() throws Exception {
        try (var connection = connect()) {
            var data = connection.getMetaData();
            equal(data.getDatabaseProductName(), "PostgreSQL");
            equal(data.getDatabaseMajorVersion() >= 15, true);
            equal(rows(data.getCatalogs(), "TABLE_CAT").contains("framesql"), true);
            equal(rows(data.getSchemas(), "TABLE_SCHEM").containsAll(List.of("framesql", "information_schema", "pg_catalog", "public")), true);
            equal(rows(data.getTables(null, "public", "%", null), "TABLE_NAME", "TABLE_TYPE"), List.of(
                "cameras_pkey|INDEX", "live|MATERIALIZED VIEW", "whole|MATERIALIZED VIEW", "cameras|TABLE", "clip|TABLE", "lobby|TABLE", "early|VIEW"));
            equal(rows(data.getTables(null, null, "who%", new String[] {"TABLE", "MATERIALIZED VIEW"}), "TABLE_NAME"), List.of("whole"));
            equal(rows(data.getColumns(null, "public", "whole", "%"), "COLUMN_NAME", "TYPE_NAME", "DATA_TYPE", "ORDINAL_POSITION", "IS_NULLABLE"),
                List.of("window_start|timestamptz|93|1|YES", "frames|int8|-5|2|YES"));
            equal(rows(data.getColumns(null, "public", "cameras", "%"), "COLUMN_NAME", "TYPE_NAME", "IS_NULLABLE", "IS_AUTOINCREMENT"),
                List.of("id|int8|NO|NO", "name|text|NO|NO", "height|float8|YES|NO"));
            equal(rows(data.getPrimaryKeys(null, "public", "cameras"), "TABLE_NAME", "COLUMN_NAME", "KEY_SEQ", "PK_NAME"), List.of("cameras|id|1|cameras_pkey"));
            equal(rows(data.getPrimaryKeys(null, "public", "early"), "COLUMN_NAME"), List.of());
        }
    }

    static void moreCatalogue() throws Exception {
        try (var connection = connect()) {
            var data = connection.getMetaData();
            equal(rows(data.getIndexInfo(null, "public", "cameras", true, false), "INDEX_NAME", "COLUMN_NAME", "NON_UNIQUE"), List.of("cameras_pkey|id|f"));
            equal(rows(data.getImportedKeys(null, "public", "cameras"), "FKTABLE_NAME"), List.of());
            equal(rows(data.getExportedKeys(null, "public", "cameras"), "FKTABLE_NAME"), List.of());
            equal(rows(data.getTableTypes(), "TABLE_TYPE").contains("MATERIALIZED VIEW"), true);
            equal(rows(data.getTypeInfo(), "TYPE_NAME").containsAll(List.of("int8", "timestamptz", "text", "jsonb")), true);
            equal(rows(data.getFunctions(null, null, "detect_faces"), "FUNCTION_NAME").contains("detect_faces"), true);
            equal(rows(data.getTablePrivileges(null, "public", "cameras"), "PRIVILEGE").contains("SELECT"), true);
            equal(rows(data.getBestRowIdentifier(null, "public", "cameras", DatabaseMetaData.bestRowSession, true), "COLUMN_NAME"), List.of("id"));
            equal(data.getMaxColumnNameLength(), 63);
            equal(rows(data.getClientInfoProperties(), "NAME").contains("ApplicationName"), true);
        }
    }

    static void errors() throws Exception {
        try (var connection = connect(); var statement = connection.createStatement()) {
            raises("42P01", () -> statement.executeQuery("SELECT * FROM nothing"));
            raises("42601", () -> statement.executeQuery("SELEC"));
            raises("22012", () -> statement.executeQuery("SELECT 1/0"));
            connection.setAutoCommit(false);
            raises("42703", () -> statement.executeQuery("SELECT nothing FROM clip"));
            raises("25P02", () -> statement.executeQuery("SELECT 1"));
            connection.rollback();
            connection.setReadOnly(true);
            connection.setTransactionIsolation(Connection.TRANSACTION_REPEATABLE_READ);
            equal(connection.getTransactionIsolation(), Connection.TRANSACTION_REPEATABLE_READ);
            var savepoint = connection.setSavepoint("here");
            raises("22012", () -> statement.executeQuery("SELECT 1/0"));
            connection.rollback(savepoint);
            equal(rows(statement.executeQuery("SELECT 'on' AS a"), "a"), List.of("on"));
            connection.commit();
        }
    }

    static void cancelled() throws Exception {
        try (var connection = connect(); var statement = connection.createStatement()) {
            statement.setQueryTimeout(1);
            raises("57014", () -> statement.executeQuery("SELECT pg_sleep(30)"));
            statement.setQueryTimeout(0);
            equal(rows(statement.executeQuery("SELECT 'on' AS a"), "a"), List.of("on"));
            equal(connection.isValid(2), true);
            connection.setNetworkTimeout(Runnable::run, 5000);
            connection.setClientInfo("ApplicationName", "bench");
            equal(rows(connection, "SHOW application_name", "application_name"), List.of("bench"));
            connection.setSchema("public");
            equal(connection.getSchema(), "public");
        }
    }

    static void notified() throws Exception {
        try (var listener = connect(); var speaker = connect()) {
            listener.createStatement().execute("LISTEN gate");
            speaker.createStatement().execute("NOTIFY gate, 'opened'");
            var said = listener.unwrap(PGConnection.class).getNotifications(5000);
            equal(List.of(said[0].getName(), said[0].getParameter()), List.of("gate", "opened"));
        }
    }

    public static void main(String[] arguments) throws Exception {
        System.out.println("version " + org.postgresql.util.DriverInfo.DRIVER_VERSION);
        check("types, prepared and in binary from the fifth time on", JdbcDriver::types);
        check("types, all in binary", () -> types("prepareThreshold=-1"));
        check("types, by the simple protocol", () -> types("preferQueryMode=simple"));
        check("numeric", JdbcDriver::numerics);
        check("parameters", JdbcDriver::parameters);
        check("setFetchSize, setMaxRows", JdbcDriver::fetchSize);
        check("batches, COPY both ways", JdbcDriver::tables);
        check("DatabaseMetaData: getTables, getColumns, getPrimaryKeys", JdbcDriver::catalogue);
        check("DatabaseMetaData: indexes, keys, privileges, functions", JdbcDriver::moreCatalogue);
        check("errors, isolation, savepoints", JdbcDriver::errors);
        check("setQueryTimeout, isValid, client info", JdbcDriver::cancelled);
        check("LISTEN and NOTIFY", JdbcDriver::notified);
        System.out.println(passed + " passed, " + failed + " failed");
        System.exit(failed > 0 ? 1 : 0);
    }
}
