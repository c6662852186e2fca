package timeline

import (
	"strings"
	"testing"

	"firetrail"
)

func TestTitleSaysRefusalOnce(t *testing.T) {
	burst := finding("policy_burst", "10.20.3.7", "", 0, 0, 1, "r-1", .99, "A4")
	ssh := finding("ssh_tunnel", "10.20.3.7", "203.0.113.9", 22, 0, 1, "r-1", .99, "A4")
	ssh.Why = []firetrail.Part{{Part: "refused"}}
	for _, c := range []struct {
		group []*firetrail.Finding
		want  string
	}{
		{[]*firetrail.Finding{&burst}, "10.20.3.7 was refused"},
		{[]*firetrail.Finding{&burst, &ssh}, "10.20.3.7 was refused SSH to the internet"},
	} {
		inc := firetrail.Incident{Sources: sourcesOf(c.group[0])}
		got, _, _ := strings.Cut(title(&inc, c.group), " (")
		if got != c.want {
			t.Errorf("title %q, want %q", got, c.want)
		}
	}
}
