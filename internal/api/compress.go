package api

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// compressFrom is how large a body is worth compressing: a smaller one fits a
// packet as it is.
const compressFrom = 1024

// send writes a body, compressed where that is worth it and the client takes
// it. The body is whole, so its length is always told, for HEAD too.
func send(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	if len(body) >= compressFrom {
		w.Header().Add("Vary", "Accept-Encoding")
		if takesGzip(r.Header) {
			c := compressors.Get().(*compressor)
			defer compressors.Put(c)
			body = c.gzip(body)
			w.Header().Set("Content-Encoding", "gzip")
		}
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that is gone needs no answer
}

// compressor is kept for reuse: its tables are large.
type compressor struct {
	writer *gzip.Writer
	out    bytes.Buffer
}

// The fastest level makes lists of JSON about ten times smaller already.
var compressors = sync.Pool{New: func() any {
	writer, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil {
		panic(err) // the level is a known one
	}
	return &compressor{writer: writer}
}}

// gzip returns a body compressed; the result is good until the next one.
func (c *compressor) gzip(body []byte) []byte {
	c.out.Reset()
	c.writer.Reset(&c.out)
	_, _ = c.writer.Write(body) // a buffer takes everything
	_ = c.writer.Close()
	return c.out.Bytes()
}

// takesGzip reads Accept-Encoding: gzip by name, else by *, unless with the
// weight 0.
func takesGzip(h http.Header) bool {
	takes := false
	for _, line := range h["Accept-Encoding"] {
		for offer := range strings.SplitSeq(line, ",") {
			coding, weight, _ := strings.Cut(offer, ";")
			switch coding = strings.TrimSpace(coding); {
			case strings.EqualFold(coding, "gzip"), strings.EqualFold(coding, "x-gzip"):
				return !isZero(weight)
			case coding == "*":
				takes = !isZero(weight)
			}
		}
	}
	return takes
}

// isZero reports whether a parameter such as "q=0.5" weighs nothing.
func isZero(weight string) bool {
	_, value, ok := strings.Cut(weight, "=")
	if !ok {
		return false
	}
	q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	return err != nil || q == 0
}
