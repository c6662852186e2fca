package main

import (
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"firetrail/samples"
)

var update = flag.Bool("update", false, "rewrite the expected outputs in the scripts")

// TestMain lets scripts run this test binary as "firetrail", the real main.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"firetrail": func() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// TestScripts runs testdata/script/*.txtar: one promise each. The sample lab
// lies in $LAB.
func TestScripts(t *testing.T) {
	lab := filepath.Join(t.TempDir(), "lab")
	if err := samples.WriteLab(lab); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("LAB", lab)
			env.Setenv("NO_COLOR", "1")
			env.Setenv("TMPDIR", env.WorkDir)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "sensors": sensors},
	})
}

// exits runs firetrail and demands an exit code: exits CODE ARG...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE ARG...")
	}
	err := ts.Exec("firetrail", args[1:]...)
	code := "0"
	if e, ok := err.(interface{ ExitCode() int }); ok {
		code = strconv.Itoa(e.ExitCode())
	} else if err != nil {
		ts.Fatalf("firetrail %q: %v", args[1:], err)
	}
	if code != args[0] {
		ts.Fatalf("firetrail %q: exit %s, want %s", args[1:], code, args[0])
	}
}
