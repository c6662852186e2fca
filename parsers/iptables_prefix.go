package parsers

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"firetrail"
)

// maxMeanings bounds how many different prefixes a source's parser remembers;
// real rule sets have some dozens.
const maxMeanings = 4096

// meaning is what a log prefix says.
type meaning struct {
	action string
	rule   string
	prefix string // itself, in memory of its own
}

// prefixRule is one line of the table: a convention, how to recognise it, and
// what it says. A rule with an empty action says that the convention names none.
type prefixRule struct {
	doc     string
	pattern *regexp.Regexp // groups "verdict" and "rule", each optional
	action  func(verdict string) string
}

// prefixTable are the conventions of the firewalls built on the kernel's log, in the
// order in which they are tried; PrefixRules of the user come before. A prefix
// that none of them knows is searched for words: see generic. They are compiled when
// the first prefix is met.
var prefixTable = sync.OnceValue(func() []prefixRule {
	return []prefixRule{
		{"ufw: [UFW BLOCK]; [UFW AUDIT] says nothing of the verdict", regexp.MustCompile(`^\[(?P<rule>UFW (?P<verdict>[A-Z ]+))\] *$`), ufwAction},
		{"VyOS 1.4 and later: [ipv4-INP-filter-default-D]", regexp.MustCompile(`^\[(?P<rule>(?:ipv4|ipv6|bri)-[^\[\]]+)-(?P<verdict>[A-Z])\]`), vyosAction},
		{"UniFi OS: [WAN_LOCAL-D-2147483647]", regexp.MustCompile(`^\[(?P<rule>[^\[\]]+-(?P<verdict>A|D|R|RET)-[0-9]+)\]`), letterAction},
		{"EdgeOS, VyOS 1.3, UniFi: [WAN_IN-2000-A]", regexp.MustCompile(`^\[(?P<rule>[^\[\]]+-(?:[0-9]+|default))-(?P<verdict>[A-Z]+)\]`), letterAction},
		{"Shorewall: Shorewall:net2fw:DROP:", regexp.MustCompile(`^Shorewall6?:(?P<rule>[^:]*):(?P<verdict>[^:]*):`), wordAction},
		{"Firewall Builder: RULE 0 -- DENY; its DENY drops", regexp.MustCompile(`^(?P<rule>RULE [^ ]+) -- (?P<verdict>[A-Z]+)`), builderAction},
		{"banIP: banIP/inp-wan/drp/feed: ", regexp.MustCompile(`^(?P<rule>banIP/[a-z-]+/(?P<verdict>drp|rej|drop|reject)/[^ :]+)`), banIPAction},
		{"SuSEfirewall2: SFW2-INext-DROP-DEFLT", regexp.MustCompile(`^(?P<rule>(?:SFW2|SuSE-FW)-(?:.*-)?(?P<verdict>DROP|ACC|ACCEPT|REJECT)(?:-.*?)?) *$`), suseAction},
		{"Firewalla: [FW_ADT]D=O CD=O says nothing of the verdict", regexp.MustCompile(`^\[(?P<rule>FW_[A-Z]+)\]`), func(string) string { return "" }},
	}
})

func ufwAction(v string) string {
	switch v {
	case "BLOCK":
		return firetrail.ActionDrop
	case "LIMIT BLOCK": // logged in front of a REJECT
		return firetrail.ActionReject
	case "ALLOW":
		return firetrail.ActionAllow
	}
	return ""
}

func letterAction(v string) string {
	switch v {
	case "A":
		return firetrail.ActionAllow
	case "D":
		return firetrail.ActionDrop
	case "R":
		return firetrail.ActionReject
	}
	return ""
}

// vyosAction: the letter is the first of the action's name, and R stands for
// both reject and return.
func vyosAction(v string) string {
	if v == "R" {
		return ""
	}
	return letterAction(v)
}

func builderAction(v string) string {
	if v == "DENY" {
		return firetrail.ActionDrop
	}
	return wordAction(v)
}

func banIPAction(v string) string {
	if v == "drp" || v == "drop" {
		return firetrail.ActionDrop
	}
	return firetrail.ActionReject
}

func suseAction(v string) string {
	if v == "ACC" {
		return firetrail.ActionAllow
	}
	return wordAction(v)
}

// wordAction is the action that a word of a prefix names, "" if none.
func wordAction(w string) string {
	if len(w) > 9 || len(w) < 4 {
		return ""
	}
	w = strings.ToLower(w)
	switch w {
	case "accept", "accepted", "allow", "allowed", "pass", "passed", "permit", "permitted":
		return firetrail.ActionAllow
	case "drop", "dropped", "drops":
		return firetrail.ActionDrop
	case "reject", "rejected", "refused":
		return firetrail.ActionReject
	case "deny", "denied", "block", "blocked":
		return firetrail.ActionDeny
	case "logdrop", "logndrop":
		return firetrail.ActionDrop
	case "logaccept":
		return firetrail.ActionAllow
	case "logreject":
		return firetrail.ActionReject
	}
	return ""
}

// isVerdict reports whether a word alone is a verdict.
func isVerdict(w string) bool { return w != "" && wordAction(w) != "" }

// generic searches a prefix for words that name a verdict. Words end where
// letters do, and at a capital behind a small letter ("DropInput"). A word that refuses
// counts before one that allows, whatever the order ("drop not allowed"), and of
// those that refuse the first.
func generic(prefix string) meaning {
	m := meaning{rule: strings.Trim(prefix, " \t:\"'")}
	if strings.HasPrefix(m.rule, "[") && strings.IndexByte(m.rule, ']') == len(m.rule)-1 {
		m.rule = m.rule[1 : len(m.rule)-1]
	}
	start := 0
	for i := 0; i <= len(prefix); i++ {
		inWord := i < len(prefix) && isLetter(prefix[i]) &&
			!(i > start && isSmall(prefix[i-1]) && !isSmall(prefix[i]))
		if inWord {
			continue
		}
		a := wordAction(prefix[start:i])
		if a != "" && (m.action == "" || m.action == firetrail.ActionAllow) {
			m.action = a
		}
		start = i
		if i < len(prefix) && !isLetter(prefix[i]) {
			start = i + 1
		}
	}
	return m
}

func isSmall(c byte) bool { return c >= 'a' && c <= 'z' }

func isLetter(c byte) bool { return isSmall(c) || c >= 'A' && c <= 'Z' }

// meaning looks a prefix up: the user's rules, the table, the words.
func (p *iptablesParser) meaning(prefix []byte) meaning {
	if m, ok := p.meanings[string(prefix)]; ok {
		return m
	}
	own := string(bytes.Clone(prefix))
	m := p.ctx.lookUp(own)
	m.prefix = own
	if len(p.meanings) < maxMeanings {
		p.meanings[own] = m
	}
	return m
}

func (c *Context) lookUp(prefix string) meaning {
	for i := range c.rules {
		if m, ok := c.rules[i].match(prefix); ok {
			return m
		}
	}
	table := prefixTable()
	for i := range table {
		if m, ok := table[i].match(prefix); ok {
			return m
		}
	}
	return generic(prefix)
}

func (r *prefixRule) match(prefix string) (meaning, bool) {
	at := r.pattern.FindStringSubmatchIndex(prefix)
	if at == nil {
		return meaning{}, false
	}
	group := func(name string) string {
		if i := r.pattern.SubexpIndex(name); i > 0 && at[2*i] >= 0 {
			return prefix[at[2*i]:at[2*i+1]]
		}
		return ""
	}
	m := meaning{action: r.action(group("verdict")), rule: group("rule")}
	if m.rule == "" {
		m.rule = generic(prefix).rule
	}
	return m, true
}

// compileRules turns the user's rules into lines of the table.
func compileRules(rules []PrefixRule) ([]prefixRule, error) {
	var out []prefixRule
	for _, r := range rules {
		re, err := regexp.Compile(r.Pattern)
		if err != nil {
			return nil, fmt.Errorf("prefix rule %q: %w", r.Pattern, err)
		}
		switch r.Action {
		case "", firetrail.ActionAllow, firetrail.ActionDeny, firetrail.ActionDrop,
			firetrail.ActionReject, firetrail.ActionReset, firetrail.ActionAlert:
		default:
			return nil, fmt.Errorf("prefix rule %q: unknown action %q; allow, deny, drop, reject, reset, alert or nothing", r.Pattern, r.Action)
		}
		out = append(out, prefixRule{pattern: re, action: func(string) string { return r.Action }})
	}
	return out, nil
}
