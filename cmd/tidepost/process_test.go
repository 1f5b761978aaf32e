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
	log   *strings.Builder
	done  chan error
}

var announced = regexp.MustCompile(`^(SMTP submission|admin API) on (\S+)$`)

// startProcess runs `tidepost serve` on a data directory and free ports and
// waits until it has said where it listens. wrap puts commands in front.
func startProcess(t *testing.T, dir string, wrap []string, sets ...string) *process {
	t.Helper()
	args := append(wrap, os.Args[0], "serve", "--set", "data_dir="+dir, "--set", "smtp.listen=[\"127.0.0.1:0\"]",
		"--set", "http.admin=127.0.0.1:0", "--set", "smtp.hostname=gateway.test")
	for _, s := range sets {
		args = append(args, "--set", s)
	}
	p := &process{cmd: exec.CommandContext(context.Background(), args[0], args[1:]...), log: new(strings.Builder), done: make(chan error, 1)}
	p.cmd.Env = append(os.Environ(), runAsProgram)
	p.cmd.Stderr = p.log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.kill() })
	lines := bufio.NewScanner(out)
	for p.smtp == "" || p.admin == "" {
		if !lines.Scan() {
			p.done <- p.cmd.Wait()
			t.Fatalf("the gateway did not start: %v\n%s", p.wait(), p.log)
		}
		if m := announced.FindStringSubmatch(lines.Text()); m != nil && m[1] == "SMTP submission" {
			p.smtp = m[2]
		} else if m != nil {
			p.admin = m[2]
		}
	}
	go func() {
		for lines.Scan() {
		}
		p.done <- p.cmd.Wait()
	}()
	return p
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
	p.cmd.Process.Signal(os.Interrupt)
	return p.wait()
}

// smtpClient is an SMTP client that does what a test says and no more.
type smtpClient struct {
	conn net.Conn
	r    *bufio.Reader
}

func dialSMTP(address string) (*smtpClient, error) {
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	c := &smtpClient{conn, bufio.NewReader(conn)}
	if _, err := c.reply("220"); err != nil {
		return nil, err
	}
	return c, c.do("EHLO client.test", "250")
}

func (c *smtpClient) do(line, want string) error {
	if _, err := c.conn.Write([]byte(line + "\r\n")); err != nil {
		return err
	}
	_, err := c.reply(want)
	return err
}

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
			return line, fmt.Errorf("got %q, want %s", strings.TrimSpace(line), want)
		}
		return line, nil
	}
}

// send submits one message; nil means that it was answered 250.
func (c *smtpClient) send(from, to, message string) error {
	c.conn.SetDeadline(time.Now().Add(30 * time.Second))
	for _, step := range [][2]string{{"MAIL FROM:<" + from + ">", "250"}, {"RCPT TO:<" + to + ">", "250"}, {"DATA", "354"}, {message + "\r\n.", "250"}} {
		if err := c.do(step[0], step[1]); err != nil {
			return err
		}
	}
	return nil
}

func (c *smtpClient) close() { c.conn.Close() }
