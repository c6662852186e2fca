package query

import "testing"

const typical = `src_ip:10.20.3.0/24 AND NOT dst_port:(80 OR 443) AND bytes_out:>1G AND host:*.pool.example AND time:[2026-03-01 TO 2026-03-02}`

func BenchmarkParseQuery(b *testing.B) {
	for b.Loop() {
		if _, err := Parse(typical); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPredicate(b *testing.B) {
	for _, text := range []string{typical, `"scan of"`, "xmrig", "host:pool.example", "url:/(?i)POOL/", "url:*pool*"} {
		b.Run(text, func(b *testing.B) {
			q, err := Parse(text)
			if err != nil {
				b.Fatal(err)
			}
			p, err := Compile(q, Env{})
			if err != nil {
				b.Fatal(err)
			}
			ev := sample()
			for b.Loop() {
				p.Event(&ev)
			}
		})
	}
}
