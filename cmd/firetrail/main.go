// Command firetrail reads what firewalls and sensors wrote and what schedulers
// and agent traces wrote, and answers what left, what tunnelled, what was
// probed, and which training run did it. One file a command; each parses flags,
// calls, and prints.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"firetrail"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// Exit codes of CLI.md.
const (
	exitDone        = 0
	exitNothing     = 1
	exitUsage       = 2
	exitPartial     = 3
	exitIntegrity   = 4
	exitFindings    = 10
	exitInterrupted = 130
)

// exitError ends the program with a code; err may be nil where everything has
// been said already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// exit is an exitError without words.
func exit(code int) error { return &exitError{code: code} }

// run is the program with its streams; it returns the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second interrupt ends the program at once
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr}
	root := newRoot(a)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	return a.code(ctx, err)
}

// code says what went wrong and chooses the exit code.
func (a *app) code(ctx context.Context, err error) int {
	if err == nil {
		return exitDone
	}
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe) {
		return exitDone // the reader of a pipe has seen enough
	}
	if ctx.Err() != nil {
		fmt.Fprintln(a.stderr, "firetrail: interrupted; what was committed is kept")
		return exitInterrupted
	}
	code := exitUsage
	if e, ok := errors.AsType[*exitError](err); ok {
		code = e.code
		if e.err == nil {
			return code
		}
	}
	a.complain(err)
	return code
}

// complain writes an error; its lines (a query and its caret) stay lines.
func (a *app) complain(err error) {
	lines := strings.Split(err.Error(), "\n")
	for i := range lines {
		lines[i] = firetrail.Inert(lines[i])
	}
	fmt.Fprintln(a.stderr, "firetrail:", strings.Join(lines, "\n"))
}
