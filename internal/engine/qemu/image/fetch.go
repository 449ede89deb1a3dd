package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"syscall"
	"time"
)

// FetchOptions bound what is fetched. What is zero is as DefaultLimits has it.
type FetchOptions struct {
	// Allow are addresses that may be asked although they are none of the
	// internet's.
	Allow    []netip.Prefix
	MaxBytes int64
	// Timeout is for all of it. That a server stays silent ends it earlier.
	Timeout time.Duration
	// Progress is told how much has come, of a total that is 0 if the server does
	// not say it.
	Progress func(done, total int64)

	resolver *net.Resolver // for tests
	silence  time.Duration
}

const (
	maxRedirects  = 5
	fetchSilence  = 30 * time.Second
	fetchMaxBytes = 256 << 30
	fetchTimeout  = 2 * time.Hour
)

// private are the addresses that are this machine's, its neighbours' or nobody's:
// whoever may name a URL must not reach those through this server. Those within
// which IPv4 addresses hide are refused whole.
var private = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
	"192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16",
	"3fff::/20", "4000::/2", "8000::/2", "c000::/3", "e000::/4", "f000::/5", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
)

func prefixes(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// checkAddress refuses addresses that are not on the internet, but for those that
// are allowed. An IPv4 address within an IPv6 one is judged as both.
func checkAddress(address netip.Addr, allow []netip.Prefix) error {
	plain := address.WithZone("").Unmap()
	within := func(all []netip.Prefix) bool {
		return slices.ContainsFunc(all, func(p netip.Prefix) bool { return p.Contains(plain) })
	}
	if within(allow) {
		return nil
	}
	mapped := address.Is4In6() // nothing is reached by one that is not reached without
	if mapped || within(private) || !plain.IsGlobalUnicast() {
		return fmt.Errorf("the address %s is not one on the internet, and is refused without --import-allow %s",
			address, netip.PrefixFrom(plain, plain.BitLen()))
	}
	return nil
}

// Fetch writes what a URL leads to. It asks servers on the internet only, and
// those that are allowed, whatever a name or a redirect leads to.
func Fetch(ctx context.Context, address string, w io.Writer, options FetchOptions) error {
	options = options.orDefault()
	if err := checkURL(address); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, options.Timeout, fmt.Errorf("fetching took more than the %s that are allowed", options.Timeout))
	defer cancel()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	silent := time.AfterFunc(options.silence, func() { fail(fmt.Errorf("the server was silent for %s", options.silence)) })
	defer silent.Stop()

	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", "cistern")
	client := options.client()
	defer client.CloseIdleConnections()
	response, err := client.Do(request)
	if err != nil {
		return fetchError(ctx, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the server answered %s", response.Status)
	}
	if response.ContentLength > options.MaxBytes {
		return options.tooMuch()
	}
	body := &heard{Reader: response.Body, total: max(0, response.ContentLength), options: options, silent: silent}
	if _, err := io.Copy(w, body); err != nil {
		return fetchError(ctx, err)
	}
	return nil
}

func (o FetchOptions) orDefault() FetchOptions {
	if o.MaxBytes <= 0 {
		o.MaxBytes = fetchMaxBytes
	}
	if o.Timeout <= 0 {
		o.Timeout = fetchTimeout
	}
	if o.silence <= 0 {
		o.silence = fetchSilence
	}
	if o.Progress == nil {
		o.Progress = func(int64, int64) {}
	}
	return o
}

func (o FetchOptions) tooMuch() error {
	return fmt.Errorf("the file has more than the %s that are allowed", sizeText(uint64(o.MaxBytes)))
}

// client asks without a proxy, as who is behind one is not seen from here. Each
// address is checked when it is connected to, so that no name can lead elsewhere
// than it did when it was looked at.
func (o FetchOptions) client() *http.Client {
	dialer := &net.Dialer{Timeout: 15 * time.Second, Resolver: o.resolver, Control: func(_, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		return checkAddress(to.Addr(), o.Allow)
	}}
	return &http.Client{
		Transport: &http.Transport{
			Proxy: nil, DialContext: dialer.DialContext, TLSHandshakeTimeout: 15 * time.Second, ForceAttemptHTTP2: true,
			ResponseHeaderTimeout: o.silence, MaxResponseHeaderBytes: 64 << 10,
			DisableCompression: true, // what is compressed is unpacked within limits, later
		},
		CheckRedirect: func(request *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return fmt.Errorf("the server redirects more than %d times", maxRedirects)
			}
			return checkURL(request.URL.String())
		},
	}
}

// checkURL refuses what is not to be fetched, before anybody is asked.
func checkURL(address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return fmt.Errorf("%.200q is not a URL", address)
	}
	shown := address // as it was written
	if u.User != nil {
		shown = u.Redacted()
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return fmt.Errorf("%.200q cannot be fetched: use a URL that begins with https:// or http:// and names a host", shown)
	case u.User != nil:
		return fmt.Errorf("%.200q has a user name in it, and those are not sent: use a URL without", shown)
	}
	return nil
}

// fetchError leaves out the URL, which may hold a secret, and says why a context
// ended.
func fetchError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if failed, is := errors.AsType[*url.Error](err); is {
		err = failed.Err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the server ended before all had come")
	}
	return err
}

// heard reads what a server sends, within bounds.
type heard struct {
	io.Reader
	done, total int64
	options     FetchOptions
	silent      *time.Timer
}

func (h *heard) Read(p []byte) (int, error) {
	n, err := h.Reader.Read(p)
	if n > 0 {
		h.silent.Reset(h.options.silence)
		h.done += int64(n)
		h.options.Progress(h.done, h.total)
	}
	if h.done > h.options.MaxBytes {
		return 0, h.options.tooMuch()
	}
	return n, err
}
