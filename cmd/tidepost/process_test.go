package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// runAsProgram in the environment makes the test binary be the program: what
// process tests start is what was compiled, race detector included.
const runAsProgram = "TESTING_TIDEPOST=1"

// process is a running gateway.
type process struct {
	cmd   *exec.Cmd
	smtp  string // address
	admin string
	web   string // http.public
	back  string // feedback.return_path_listen, the last of them
	log   *logBuffer
	done  chan error
}

// setup says how a gateway is started.
type setup struct {
	dir  string
	wrap []string // commands in front
	env  []string
	file string // configuration
	sets []string
}

// command is the command line of `tidepost serve` on free ports.
func (s setup) command() []string {
	args := append(append([]string{}, s.wrap...), os.Args[0], "serve")
	if s.file != "" {
		args = append(args, "--config", s.file)
	}
	for _, set := range append([]string{"data_dir=" + s.dir, "smtp.listen=[\"127.0.0.1:0\"]", "http.admin=127.0.0.1:0", "http.public=127.0.0.1:0", "smtp.hostname=gateway.test"}, s.sets...) {
		args = append(args, "--set", set)
	}
	return args
}

var announced = regexp.MustCompile(`^(SMTP submission|bounces and complaints|admin API|public HTTP) on (\S+)$`)

// startProcess runs `tidepost serve` on a data directory and waits until it
// has said where it listens. wrap puts commands in front.
func startProcess(t *testing.T, dir string, wrap []string, sets ...string) *process {
	t.Helper()
	return mustStart(t, setup{dir: dir, wrap: wrap, sets: sets})
}

func mustStart(t *testing.T, s setup) *process {
	t.Helper()
	p, err := start(t, s)
	if err != nil {
		t.Fatalf("the gateway did not start: %v\n%s", err, p.log)
	}
	return p
}

// start is mustStart for a gateway that may fail to start: it has ended then,
// and its log tells why.
func start(t *testing.T, s setup) (*process, error) {
	t.Helper()
	args := s.command()
	p := &process{cmd: exec.CommandContext(context.Background(), args[0], args[1:]...), log: new(logBuffer), done: make(chan error, 1)}
	p.cmd.Env = append(append(os.Environ(), runAsProgram), s.env...)
	p.cmd.Stderr = p.log
	p.cmd.WaitDelay = 5 * time.Second // a tracer may hold the pipes a little longer
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.kill(); p.examine(t) })
	stuck := time.AfterFunc(time.Minute, func() { p.cmd.Process.Kill() })
	defer stuck.Stop()
	lines := bufio.NewScanner(out)
	for p.smtp == "" || p.admin == "" {
		if !lines.Scan() {
			p.done <- p.cmd.Wait()
			return p, errors.Join(errors.New("it ended"), p.wait())
		}
		m := announced.FindStringSubmatch(lines.Text())
		switch {
		case m == nil:
		case m[1] == "SMTP submission":
			p.smtp = m[2]
		case m[1] == "public HTTP":
			p.web = m[2]
		case m[1] == "bounces and complaints":
			p.back = m[2]
		default:
			p.admin = m[2]
		}
	}
	go func() {
		for lines.Scan() {
		}
		p.done <- p.cmd.Wait()
	}()
	return p, nil
}

// examine fails the test for what no gateway may ever write to its log.
func (p *process) examine(t *testing.T) {
	log := p.log.String()
	for _, never := range []string{"panic", "DATA RACE", "fatal error:", "goroutine 1 ["} {
		if i := strings.Index(log, never); i >= 0 {
			t.Errorf("the log of a gateway has %q:\n%s", never, log[max(0, i-500):min(len(log), i+3000)])
			return
		}
	}
	if t.Failed() {
		t.Logf("the end of a gateway's log:\n%s", log[max(0, len(log)-3000):])
	}
}

// ended reports whether the process is gone.
func (p *process) ended() bool {
	select {
	case err := <-p.done:
		p.done <- err
		return true
	default:
		return false
	}
}

func (p *process) wait() error {
	select {
	case err := <-p.done:
		p.done <- err
		return err
	case <-time.After(40 * time.Second):
		return errors.New("it did not end")
	}
}

// kill ends the process as a power cut would end it, apart from the disk.
func (p *process) kill() {
	p.cmd.Process.Kill()
	p.wait()
}

// terminate asks the process to stop and returns how it did.
func (p *process) terminate() error {
	p.cmd.Process.Signal(syscall.SIGTERM)
	return p.wait()
}

// logBuffer is what a process has written so far.
type logBuffer struct {
	mu   sync.Mutex
	text []byte // guarded by mu
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text = append(b.text, p...)
	return len(p), nil
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.text)
}

// eventually polls until a condition holds and reports whether it came to. The
// time is for a machine that is busy: it says nothing about how long it takes.
func eventually(within time.Duration, condition func() bool) bool {
	for deadline := time.Now().Add(within); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// smtpClient is an SMTP client that does what a test says and no more.
type smtpClient struct {
	conn net.Conn
	r    *bufio.Reader
}

// greetSMTP connects and reads the greeting.
func greetSMTP(address string) (*smtpClient, error) {
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	c := &smtpClient{conn, bufio.NewReader(conn)}
	if _, err := c.reply("220"); err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

func dialSMTP(address string) (*smtpClient, error) {
	c, err := greetSMTP(address)
	if err != nil {
		return nil, err
	}
	if err := c.do("EHLO client.test", "250"); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *smtpClient) do(line, want string) error {
	if _, err := c.conn.Write([]byte(line + "\r\n")); err != nil {
		return err
	}
	_, err := c.reply(want)
	return err
}

// replyError is a reply other than the one that a test asked for.
type replyError struct{ line, want string }

func (e replyError) Error() string { return fmt.Sprintf("got %q, want %s", e.line, e.want) }

// refusal returns the reply that an error is, "" when it is none: the
// connection ended then.
func refusal(err error) string {
	var r replyError
	errors.As(err, &r)
	return r.line
}

// reply reads one whole reply and returns its last line.
func (c *smtpClient) reply(want string) (string, error) {
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return "", err
		}
		if len(line) > 3 && line[3] == '-' {
			continue
		}
		if !strings.HasPrefix(line, want) {
			return line, replyError{strings.TrimSpace(line), want}
		}
		return line, nil
	}
}

// send submits one message; nil means that it was answered 250.
func (c *smtpClient) send(from, to, message string) error {
	c.conn.SetDeadline(time.Now().Add(30 * time.Second))
	if err := c.begin(from, to); err != nil {
		return err
	}
	return c.do(message+"\r\n.", "250")
}

// begin takes a transaction to where its content follows.
func (c *smtpClient) begin(from, to string) error {
	for _, step := range [][2]string{{"MAIL FROM:<" + from + ">", "250"}, {"RCPT TO:<" + to + ">", "250"}, {"DATA", "354"}} {
		if err := c.do(step[0], step[1]); err != nil {
			return err
		}
	}
	return nil
}

func (c *smtpClient) close() { c.conn.Close() }

// letter is a message that carries its name in its Message-ID.
func letter(id string, size int) string {
	return "From: <a@esp.test>\r\nTo: <b@dest.test>\r\nMessage-ID: <" + id + "@esp.test>\r\nSubject: " + id + "\r\n\r\n" +
		strings.Repeat(strings.Repeat("x", 76)+"\r\n", size/78) + strings.Repeat("y", size%78)
}
