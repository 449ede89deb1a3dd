package main

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// load makes n calls from so many clients, each on a connection of its own, and
// returns how many were answered in a second. The first error ends it.
func load(clients, n int, call func(client *http.Client, i int) error) (rate float64, err error) {
	var next atomic.Int64
	var once sync.Once
	var all sync.WaitGroup
	start := time.Now()
	for range clients {
		all.Go(func() {
			client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
			defer client.CloseIdleConnections()
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if e := call(client, i); e != nil {
					once.Do(func() { err = e; next.Store(int64(n)) })
					return
				}
			}
		})
	}
	all.Wait()
	return float64(n) / time.Since(start).Seconds(), err
}
