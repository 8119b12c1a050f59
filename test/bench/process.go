package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A process is a server that was started here.
type process struct {
	cmd   *exec.Cmd
	url   string
	said  bytes.Buffer // on standard error
	ended chan error
}

// launch starts a program and waits until it says where it is ready.
func launch(ctx context.Context, env []string, program string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(program, args...), ended: make(chan error, 1)} //nolint:gosec,noctx // our own programs; they end by SIGTERM and in their own time
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stderr = &p.said
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	ready := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if m := readyAt.FindStringSubmatch(lines.Text()); m != nil {
				ready <- m[1]
			}
		}
		p.ended <- p.cmd.Wait()
	}()
	select {
	case p.url = <-ready:
		return p, nil
	case err := <-p.ended:
		return nil, fmt.Errorf("%s ended before it was ready: %w\n%s", program, err, p.said.String())
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), p.stop())
	}
}

var readyAt = regexp.MustCompile(`ready at (http://[^,]+),`)

// stop ends the process and waits for it.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop %s: %w", p.cmd.Path, err)
	}
	if err := <-p.ended; err != nil {
		return fmt.Errorf("%s: %w\n%s", p.cmd.Path, err, p.said.String())
	}
	return nil
}

// tick is the unit of times in /proc: a hundredth of a second on every Linux
// that Go runs on.
const tick = time.Second / 100

// cpu is the time that a process has computed for, and, if it is a family's
// eldest, all of its living children and those that it has waited for.
func cpu(pid int, family bool) (time.Duration, error) {
	total, err := spent(pid, family)
	if err != nil || !family {
		return total, err
	}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, fmt.Errorf("list processes: %w", err)
	}
	for _, path := range stats {
		fields, err := stat(path)
		if err != nil || fields[1] != strconv.Itoa(pid) { // most likely it has ended meanwhile
			continue
		}
		child, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			continue
		}
		if own, err := spent(child, false); err == nil {
			total += own
		}
	}
	return total, nil
}

// spent is the time of one process, with or without that of ended children.
func spent(pid int, children bool) (time.Duration, error) {
	fields, err := stat(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	sum := 0
	last := 13 // utime 11, stime 12, of ended children 13 and 14, counted from the state
	if children {
		last = 15
	}
	for _, text := range fields[11:last] {
		n, err := strconv.Atoi(text)
		if err != nil {
			return 0, fmt.Errorf("time of process %d: %w", pid, err)
		}
		sum += n
	}
	return time.Duration(sum) * tick, nil
}

// stat returns the fields of a stat file from the process's state on: before it
// stands the name, which may hold anything.
func stat(path string) ([]string, error) {
	text, err := os.ReadFile(path) //nolint:gosec // of /proc
	if err != nil {
		return nil, fmt.Errorf("look at a process: %w", err)
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 15 {
		return nil, fmt.Errorf("%s has %d fields", path, len(fields))
	}
	return fields, nil
}

// memory is how much of a process is resident, in MiB: memory of its own, and
// files that it has mapped, which the kernel can take back at any time.
func memory(pid int) (own, files float64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, fmt.Errorf("look at a process: %w", err)
	}
	for _, figure := range []struct {
		name string
		is   *float64
	}{{"RssAnon:", &own}, {"RssFile:", &files}} {
		if _, rest, ok := strings.Cut(string(text), figure.name); ok {
			if _, err := fmt.Sscan(rest, figure.is); err != nil {
				return 0, 0, fmt.Errorf("memory of process %d: %w", pid, err)
			}
		}
		*figure.is /= 1024 // from KiB
	}
	return own, files, nil
}
