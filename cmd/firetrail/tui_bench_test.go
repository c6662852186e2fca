package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"firetrail"
	"firetrail/index"
	"firetrail/tui"
)

// screen takes what the program draws and says when something was drawn last.
type screen struct {
	mu   sync.Mutex
	last time.Time
	all  bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = time.Now()
	return s.all.Write(p)
}

// take returns what was drawn since the last call, and when that ended.
func (s *screen) take() (string, time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := s.all.String()
	s.all.Reset()
	return text, s.last
}

// settled waits until nothing has been drawn for a while, and says when the first thing
// and the last thing were.
func (s *screen) settled(quiet time.Duration) (text string, first, last time.Time) {
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		part, at := s.take()
		if part != "" {
			if text == "" {
				first = at
			}
			text, last = text+part, at
		}
		if text != "" && time.Since(last) > quiet {
			break
		}
	}
	return text, first, last
}

// BenchmarkTUI runs the terminal interface on the case that FIRETRAIL_CASE names and
// presses keys: how long until a frame answers each, and until the screen is complete.
func BenchmarkTUI(b *testing.B) {
	dir := os.Getenv("FIRETRAIL_CASE")
	if dir == "" {
		b.Skip("FIRETRAIL_CASE names no case")
	}
	for b.Loop() {
		in, keys, err := os.Pipe()
		if err != nil {
			b.Fatal(err)
		}
		s := &screen{}
		begin := time.Now()
		c, err := index.Open(dir)
		if err != nil {
			b.Fatal(err)
		}
		done := make(chan error, 1)
		go func() {
			done <- tui.Run(b.Context(), &caseStore{Case: c}, tui.Options{Input: in, Output: s, Env: []string{"TERM=xterm-256color"}, Width: 140, Height: 40})
		}()
		_, first, last := s.settled(700 * time.Millisecond)
		fmt.Printf("%-28s first %6.1f ms, complete %7.1f ms\n", "start", ms(first.Sub(begin)), ms(last.Sub(begin)))
		var frames, whole []float64
		press := func(name, key string) {
			begin := time.Now()
			io.WriteString(keys, key)
			quiet := 400 * time.Millisecond
			if key == "v" {
				quiet = 3 * time.Second // counts all events
			}
			text, first, last := s.settled(quiet)
			if text == "" { // as at the end of a list
				fmt.Printf("%-28s no frame\n", cmp.Or(name, fmt.Sprintf("%q", key)))
				return
			}
			frames, whole = append(frames, ms(first.Sub(begin))), append(whole, ms(last.Sub(begin)))
			if name != "" {
				fmt.Printf("%-28s first %6.1f ms, complete %7.1f ms\n", name, ms(first.Sub(begin)), ms(last.Sub(begin)))
			}
		}
		press("2: events", "2")
		press("G: to the last", "G")
		press("g: to the first", "g")
		for range 30 {
			press("", "\x1b[6~")
		}
		press("page down, the 31st", "\x1b[6~")
		press("@ middle of the time", "@"+middle(c).Format("2006-01-02T15:04")+"\r")
		for range 30 {
			press("", "\x1b[6~")
		}
		for range 10 {
			press("", "\x1b[5~")
		}
		press("d: next day", "d")
		press("l", "l")
		press("l", "l")
		press("v: values of src_ip", "v")
		press("enter: only the first", "\r")
		press("G", "G")
		press("esc", "\x1b")
		press("esc", "\x1b")
		press("/ host, enter", "/host:tracker.lab.example\r")
		press("s s: by host", "s")
		press("/ dst_ip tab", "/dst_ip:10.20.\t")
		press("esc", "\x1b")
		press("ctrl+x", "\x18")
		for _, list := range []struct {
			name string
			took []float64
		}{{"key to first frame", frames}, {"key to complete screen", whole}} {
			slices.Sort(list.took)
			fmt.Printf("%-28s p50 %6.1f ms, p99 %7.1f ms, most %7.1f ms of %d\n", list.name, list.took[len(list.took)/2], list.took[len(list.took)*99/100], list.took[len(list.took)-1], len(list.took))
		}
		fmt.Println(strings.TrimSpace(memory()))
		io.WriteString(keys, "\x03")
		if err := <-done; err != nil {
			b.Fatal(err)
		}
		c.Close()
	}
}

// middle is the time between the first event of a case and its last.
func middle(c *index.Case) time.Time {
	first, last := int64(firetrail.Absent), int64(firetrail.Absent)
	for _, s := range c.Sources() {
		if s.First == firetrail.Absent {
			continue
		}
		if first == firetrail.Absent || s.First < first {
			first = s.First
		}
		last = max(last, s.Last)
	}
	return time.Unix(0, first/2+last/2).UTC()
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// memory is the largest resident set of the process so far.
func memory() string {
	data, _ := os.ReadFile("/proc/self/status")
	for line := range strings.SplitSeq(string(data), "\n") {
		if strings.HasPrefix(line, "VmHWM") {
			return line
		}
	}
	return "VmHWM unknown"
}
