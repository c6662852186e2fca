package index

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// duck runs a statement in DuckDB and returns its rows as texts, sorted. DuckDB is the
// npm package that bench/run installs; without it the test is skipped.
func duck(t *testing.T, sql string) [][]string {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("no node here to run DuckDB with")
	}
	script := filepath.Join("..", "bench", "bin", "duck.mjs")
	if _, err := os.Stat(filepath.Join("..", "bench", "bin", "node_modules", "@duckdb", "node-api")); err != nil {
		t.Skip("no DuckDB in bench/bin: bench/run installs it")
	}
	source, err := os.ReadFile(filepath.Join("..", "bench", "duck.mjs"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(script, source, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), node, script, sql)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	var rows [][]string
	for line := range strings.SplitSeq(strings.TrimSuffix(string(out), "\n"), "\n") {
		rows = append(rows, strings.Split(line, "\t"))
	}
	return sortedRows(rows)
}

func sortedRows(rows [][]string) [][]string {
	slices.SortFunc(rows, slices.Compare[[]string])
	return rows
}

// TestStatsLikeDuckDB asks the same of DuckDB, on the same Parquet files.
func TestStatsLikeDuckDB(t *testing.T) {
	rnd := rand.New(rand.NewPCG(21, 22))
	c, _ := randomCase(t, rnd, 9000)
	from := fmt.Sprintf(" from read_parquet('%s/segments/*.parquet', union_by_name=true)", c.dir)
	const refused = " where action in ('deny', 'drop', 'reject', 'reset')"
	for _, s := range []struct {
		query, by, agg, sql string
	}{
		{"*", "", "count,sum(bytes_out),min(bytes_in),max(duration),distinct(uid)", "select count(*), sum(bytes_out), min(bytes_in), max(duration), count(distinct uid)"},
		{"*", "kind", "count,avg(bytes_out)", "select kind, count(*), avg(bytes_out)"},
		{"*", "src_ip", "count,distinct(dst_ip),sum(bytes_in)", "select src_ip, count(*), count(distinct dst_ip), sum(bytes_in)"},
		{"*", "dst_port,action", "count,sum(bytes_out),max(duration)", "select dst_port, action, count(*), sum(bytes_out), max(duration)"},
		{"*", "src_ip,dst_ip,dst_port,src_port", "count", "select src_ip, dst_ip, dst_port, src_port, count(*)"},
		{"*", "time(5m),proto", "count,distinct(src_port)", "select epoch_ns(time) // 300000000000 * 300000000000, proto, count(*), count(distinct src_port)"},
		{"*", "dst_port", "p50(bytes_out),p95(bytes_out),p99.9(bytes_out)", "select dst_port, quantile_cont(bytes_out, 0.5), quantile_cont(bytes_out, 0.95), quantile_cont(bytes_out, 0.999)"},
		{"action:denied", "rule,sensor", "count,min(src_ip),distinct(host)", "select rule, sensor, count(*), null, count(distinct host)"},
		{"bytes_out:>5M", "host", "count,min(time),max(time)", "select host, count(*), epoch_ns(min(time)), epoch_ns(max(time))"},
		{"has:x.msg", "x.msg", "count,distinct(x.TTL)", `select "x.msg", count(*), null`},
		{"NOT has:dst_ip", "user", "count", `select "user", count(*)`},
	} {
		where := map[string]string{"action:denied": refused, "bytes_out:>5M": " where bytes_out > 5000000", "has:x.msg": ` where "x.msg" is not null`, "NOT has:dst_ip": " where dst_ip is null"}[s.query]
		sql := s.sql + from + where
		if s.by != "" {
			sql += " group by all"
		}
		want := duck(t, sql)
		q, _ := compile(t, c, s.query)
		opt := StatsOptions{Agg: strings.Split(s.agg, ",")}
		if s.by != "" {
			opt.By = strings.Split(s.by, ",")
		}
		for _, opt.Memory = range []int{1 << 30, 1 << 18} {
			if s.by == "" {
				opt.Memory = 1 << 30 // a single group is not divided
			}
			table, err := c.Stats(t.Context(), q, opt)
			if err != nil {
				t.Fatalf("%s by %s: %v", s.agg, s.by, err)
			}
			got := make([][]string, len(table.Rows))
			for i, row := range table.Rows {
				for k := range row {
					got[i] = append(got[i], duckText(&row[k]))
				}
			}
			sortedRows(got)
			if len(got) != len(want) {
				t.Fatalf("%s by %s: %d rows, DuckDB has %d", s.agg, s.by, len(got), len(want))
			}
			for i := range got {
				for k := range got[i] {
					if s.by != "" && want[i][k] == "null" && k >= len(opt.By) {
						continue // not asked of DuckDB
					}
					if !alike(got[i][k], want[i][k]) {
						t.Fatalf("%s by %s: row %v, DuckDB has %v", s.agg, s.by, got[i], want[i])
					}
				}
			}
		}
	}
}

// duckText prints a cell as the script prints DuckDB's values.
func duckText(c *Cell) string {
	switch {
	case !c.Valid:
		return "null"
	case c.Type == CellText:
		return c.Str
	case c.Type == CellFloat:
		return strconv.FormatFloat(c.Float, 'f', -1, 64)
	}
	return strconv.FormatInt(c.Int, 10)
}

func alike(a, b string) bool {
	if a == b {
		return true
	}
	x, errx := strconv.ParseFloat(a, 64)
	y, erry := strconv.ParseFloat(b, 64)
	return errx == nil && erry == nil && math.Abs(x-y) <= 1e-9*math.Max(math.Abs(x), 1)
}
