package runs

import (
	"fmt"
	"strconv"
	"strings"
)

// maxNodes bounds the expansion of one node list.
const maxNodes = 1 << 17

// expandNodes expands a Slurm host list: "tux[1-3]" is tux1 tux2 tux3, ranges
// keep their zero padding, and several brackets in a name multiply. The order
// is that of the list, as "scontrol show hostnames" prints it.
func expandNodes(list string) ([]string, error) {
	var out []string
	for _, part := range splitOutside(list) {
		names, err := expandName(part)
		if err != nil {
			return nil, err
		}
		if len(out)+len(names) > maxNodes {
			return nil, fmt.Errorf("node list of more than %d nodes", maxNodes)
		}
		out = append(out, names...)
	}
	return out, nil
}

// splitOutside splits at the commas that stand outside brackets.
func splitOutside(list string) []string {
	var parts []string
	depth, from := 0, 0
	for i := 0; i < len(list); i++ {
		switch list[i] {
		case '[':
			depth++
		case ']':
			depth--
		case ',':
			if depth == 0 {
				parts = append(parts, list[from:i])
				from = i + 1
			}
		}
	}
	parts = append(parts, list[from:])
	out := parts[:0]
	for _, p := range parts {
		if p = strings.TrimSpace(p); p != "" {
			out = append(out, p)
		}
	}
	return out
}

// expandName expands one name with any number of brackets.
func expandName(name string) ([]string, error) {
	head, rest, found := strings.Cut(name, "[")
	if !found {
		if strings.Contains(name, "]") {
			return nil, fmt.Errorf("node list %q: ] without [", name)
		}
		return []string{name}, nil
	}
	inside, rest, found := strings.Cut(rest, "]")
	if !found {
		return nil, fmt.Errorf("node list %q: [ without ]", name)
	}
	tails, err := expandName(rest)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, r := range strings.Split(inside, ",") {
		numbers, err := expandRange(r)
		if err != nil {
			return nil, fmt.Errorf("node list %q: %w", name, err)
		}
		if (len(out)+len(numbers))*len(tails) > maxNodes {
			return nil, fmt.Errorf("node list of more than %d nodes", maxNodes)
		}
		for _, n := range numbers {
			for _, tail := range tails {
				out = append(out, head+n+tail)
			}
		}
	}
	return out, nil
}

// expandRange expands "7" or "0201-0272".
func expandRange(r string) ([]string, error) {
	low, high, found := strings.Cut(strings.TrimSpace(r), "-")
	if !found {
		return []string{low}, nil
	}
	a, err1 := strconv.Atoi(low)
	b, err2 := strconv.Atoi(high)
	if err1 != nil || err2 != nil || b < a || b-a >= maxNodes {
		return nil, fmt.Errorf("bad range %q", r)
	}
	out := make([]string, 0, b-a+1)
	for n := a; n <= b; n++ {
		out = append(out, fmt.Sprintf("%0*d", len(low), n))
	}
	return out, nil
}
