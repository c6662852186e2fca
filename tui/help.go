package tui

import (
	"fmt"
	"strings"
)

// newHelp lists the keys of a sort of screen from the key table.
func newHelp(k kind) screen {
	return &document{is: kindHelp, title: "Keys", make: func(*model) []item {
		w := &writer{}
		w.text(strong, "", "Keys of this screen")
		for _, b := range bindings {
			if b.in&k != 0 {
				w.text(plain, fmt.Sprintf("  %-16s", strings.Join(b.keys, " ")), b.does)
			}
		}
		if k == kindEvents {
			w.head("Query language")
			for _, s := range queryHelp {
				w.text(plain, "  ", s)
			}
		}
		w.head("What is shown")
		w.text(plain, "  ", "Times are as recorded. Control characters of logs are shown as \\xNN. Nothing is changed from here.")
		return w.items
	}}
}

// queryHelp is the query language in a few lines; 'firetrail search --help' has all of it.
var queryHelp = []string{
	"dst_ip:203.0.113.0/24 AND NOT dst_port:(80 OR 443)   terms side by side mean AND",
	"bytes_out:>1G   time:>-24h   time:[2026-03-01 TO 2026-03-02}   sizes, times, ranges",
	"host:*.pool.example   /expression/   \"two words\"   wildcards, expressions, phrases",
	"ip: any address   port: any port   run:r-017   has:field   a bare word searches names and rules",
	"all of it: firetrail search --help",
}
