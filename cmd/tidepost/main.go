// Command tidepost is the gateway and everything that speaks to it. Each
// subcommand has a file of its own; serve.go holds the wiring.
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
	_ "time/tzdata" // a container from scratch has no zone files

	"github.com/alecthomas/kong"
)

// Exit statuses.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Environ())
	stop()
	os.Exit(status)
}

// cli is the grammar of the command line.
type cli struct {
	Config string   `help:"Configuration file." placeholder:"FILE" short:"c"`
	Set    []string `help:"Set one key, over file and environment: --set route.mode=mx." placeholder:"KEY=VALUE" sep:"none"`

	Serve        serveCmd        `cmd:"" help:"Run the gateway."`
	Status       statusCmd       `cmd:"" help:"One screen: what is late, closed, full or lagging. Exit status 1 when something needs a person."`
	Queue        queueCmd        `cmd:"" help:"See and steer what waits."`
	Campaigns    campaignsCmd    `cmd:"" help:"Sums of each campaign, which add up to what was sent to Tidepost."`
	Suppress     suppressCmd     `cmd:"" help:"Who must not be written to."`
	Rules        rulesCmd        `cmd:"" help:"Rules of your own about who gets which mail: check, back-test, apply, roll back."`
	Audit        auditCmd        `cmd:"" help:"Who changed what, and when."`
	Explain      explainCmd      `cmd:"" help:"Why a delivery or a mailbox's mail is where it is."`
	Mailbox      mailboxCmd      `cmd:"" help:"What is kept of one person: show it, export it, erase it."`
	Live         liveCmd         `cmd:"" help:"Let the model decide about bulk mail: which hour, which order, whether. Prints first what that changes."`
	Observe      observeCmd      `cmd:"" help:"Let the model only watch and record; what it holds leaves, paced. The panic switch."`
	Report       reportCmd       `cmd:"" help:"What the model did about bulk mail, or would have done live, and what it rests on."`
	Experiments  experimentsCmd  `cmd:"" help:"Whether the model is worth anything: the arms compared, with intervals, or why nothing can be said yet."`
	Signals      signalsCmd      `cmd:"" help:"What readers did: opens, clicks, unsubscribes."`
	Webhooks     webhooksCmd     `cmd:"" help:"Who is told of events over HTTP: see how far they are, tell them again."`
	Feedback     feedbackCmd     `cmd:"" help:"Mail that came back: what it means, and what could not be matched."`
	Links        linksCmd        `cmd:"" help:"The keys of links in mail."`
	Replay       replayCmd       `cmd:"" help:"The decision engine as a coprocess: one JSON object a line in, what it decides out."`
	Demo         demoCmd         `cmd:"" help:"A month of campaigns in a minute: a whole gateway with simulated readers, and what came of it."`
	Simulate     simulateCmd     `cmd:"" help:"Policies side by side on a synthetic audience: what each would make of the same people and mail."`
	Evaluate     evaluateCmd     `cmd:"" help:"How well the predictors foretell recorded data: who is active when, who opens what."`
	Backup       backupCmd       `cmd:"" help:"Copy the state of the running gateway into a folder."`
	Restore      restoreCmd      `cmd:"" help:"Put a backup back; mail then waits until it is confirmed."`
	Compact      compactCmd      `cmd:"" help:"Give back the disk space of settled mail now."`
	Recover      recoverCmd      `cmd:"" help:"Rebuild an unreadable index from the logs, with everything held."`
	DKIM         dkimCmd         `cmd:"" name:"dkim" help:"Make and check signing keys."`
	HashPassword hashPasswordCmd `cmd:"" help:"Hash a password or token for the configuration."`
	Healthcheck  healthcheckCmd  `cmd:"" help:"Ask the running gateway whether it can accept mail; for containers."`
	Version      versionCmd      `cmd:"" help:"Print the version."`
	Help         helpCmd         `cmd:"" help:"Read the manual: config, runbook, metrics, api and more."`
}

// app is what a subcommand runs with.
type app struct {
	Context context.Context
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	Env     []string
	Config  string   // path given by --config
	Sets    []string // given by --set
}

// getenv returns a variable of the environment that run was given.
func (a *app) getenv(name string) string {
	for i := len(a.Env) - 1; i >= 0; i-- {
		if value, ok := strings.CutPrefix(a.Env[i], name+"="); ok {
			return value
		}
	}
	return ""
}

// usageError is a command used wrongly, in a way that its grammar cannot tell.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// errQuiet fails a command that has said already what is wrong.
var errQuiet = errors.New("failed")

// run is the whole program but for the process around it.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, env []string) int {
	var grammar cli
	command, status := parse(&grammar, args, stdout, stderr)
	if command == nil {
		return status
	}
	a := &app{
		Context: ctx, Stdin: stdin, Stdout: stdout, Stderr: stderr, Env: env,
		Config: grammar.Config, Sets: grammar.Set,
	}
	return report(command.Run(a), stderr)
}

// exited carries the status of a parser that has printed help.
type exited int

// parse reads the command line. It returns no command where there is nothing
// left to do.
func parse(grammar *cli, args []string, stdout, stderr io.Writer) (command *kong.Context, status int) {
	defer func() {
		switch e := recover().(type) {
		case nil:
		case exited:
			command, status = nil, int(e)
		default:
			panic(e)
		}
	}()
	parser := kong.Must(grammar,
		kong.Name("tidepost"),
		kong.Description("An email gateway that sends each message when its reader reads. `tidepost serve` starts it; `tidepost help` lists the manual."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { panic(exited(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
	)
	if len(args) == 0 {
		args = []string{"--help"}
	}
	command, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(stderr, "tidepost: %v\n", err)
		return nil, exitUsage
	}
	return command, exitDone
}

// report prints what went wrong and returns the exit status.
func report(err error, stderr io.Writer) int {
	var usage usageError
	var config *ConfigError
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errQuiet):
		return exitFailed
	case errors.As(err, &config):
		for _, p := range config.Problems {
			fmt.Fprintf(stderr, "tidepost: %s\n", safe(p))
		}
		return exitUsage
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "tidepost: %s\n", safe(err.Error()))
		return exitUsage
	}
	fmt.Fprintf(stderr, "tidepost: %s\n", safe(err.Error()))
	return exitFailed
}

// serveCmd runs the gateway; serve.go has the wiring.
type serveCmd struct {
	Rules string `help:"Take the rules from the *.toml files of a folder, now and on SIGHUP; they then cannot be changed over the API." placeholder:"DIR"`
}

// Run loads the configuration and serves until the context ends.
func (c *serveCmd) Run(a *app) error {
	cfg, warnings, err := LoadConfig(a.Config, a.Sets, a.Env)
	if err != nil {
		return err
	}
	return runServe(a.Context, cfg, warnings, c.Rules, a.Stdout, a.Stderr)
}
