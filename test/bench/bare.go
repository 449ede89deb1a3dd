package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"

	"bufio"
	"strings"
)

// serveBare is the yardstick: a net/http server in a process of its own that
// answers every request with the same bytes and does nothing else.
func serveBare(file string) {
	body, err := os.ReadFile(file)
	if err != nil {
		panic(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println("http://" + listener.Addr().String())
	panic(http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
	})))
}

// bare measures the yardstick with the given answer.
func bare(body []byte, clients, requests int) (rate float64, err error) {
	file, err := os.CreateTemp("", "cistern-bare-")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.Remove(file.Name()) }()
	if _, err := file.Write(body); err != nil {
		return 0, err
	}
	file.Close()
	cmd := exec.Command(os.Args[0], "bare", file.Name())
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return 0, err
	}
	return load(clients, requests, func(c *http.Client, _ int) error {
		_, err := request(c, http.MethodGet, strings.TrimSpace(url), "")
		return err
	})
}
