//! The stable words of a denial. A word never changes its meaning; tests, dashboards and journals match on it.

/// Declares the words and the lists of them.
macro_rules! reasons {
    ($list:ident, $about:literal: $($(#[doc = $doc:literal])+ $name:ident = $word:literal;)+) => {
        $($(#[doc = $doc])+ pub const $name: &str = $word;)+
        #[doc = $about]
        pub const $list: &[&str] = &[$($name),+];
    };
}

reasons! { EGRESS, "Every word with which the egress gate denies a request.":
    /// The run is in fake mode: it may have no effect outside itself.
    FAKE_MODE = "fake-mode";
    /// A part of the request's head is longer than its bound.
    HEAD_TOO_LARGE = "head-too-large";
    /// A control character (CR, LF, NUL, TAB, …) in method, scheme, authority, path or a header.
    CONTROL_CHARACTER = "control-character";
    /// The scheme is absent, or neither `http` nor `https`.
    SCHEME_NOT_HTTP = "scheme-not-http";
    /// The authority has a user, a password or an `@`.
    USERINFO = "userinfo";
    /// The authority names no host.
    HOST_EMPTY = "host-empty";
    /// The authority is no host with an optional port.
    HOST_MALFORMED = "host-malformed";
    /// The host has characters outside ASCII; an internationalised name is asked for in its `xn--` form.
    HOST_NOT_ASCII = "host-not-ascii";
    /// The host ends in a dot.
    HOST_TRAILING_DOT = "host-trailing-dot";
    /// The IPv6 host has a zone id.
    HOST_ZONE_ID = "host-zone-id";
    /// An IPv4 address in decimal, octal, hexadecimal or short form.
    IPV4_NOT_DOTTED = "ipv4-not-dotted";
    /// The host's text is not the form that the URL parser gives back.
    HOST_NOT_CANONICAL = "host-not-canonical";
    /// The port is empty, no plain decimal number, or above 65535.
    PORT_MALFORMED = "port-malformed";
    /// The port is 0.
    PORT_ZERO = "port-zero";
    /// A `Host` header names another target than the authority.
    HOST_HEADER_MISMATCH = "host-header-mismatch";
    /// More than one `Host` header.
    HOST_HEADER_REPEATED = "host-header-repeated";
    /// A header that frames the message or reroutes it, and so would undo the decision.
    HEADER_FORBIDDEN = "header-forbidden";
    /// The method is no token, or one that turns a connection into a tunnel.
    METHOD_FORBIDDEN = "method-forbidden";
    /// The path is not absolute, or holds what no path may hold.
    PATH_MALFORMED = "path-malformed";
    /// A `.` or `..` segment.
    PATH_DOT_SEGMENT = "path-dot-segment";
    /// An empty segment (`//`).
    PATH_DOUBLE_SLASH = "path-double-slash";
    /// A backslash.
    PATH_BACKSLASH = "path-backslash";
    /// An encoded slash, backslash, dot, percent sign or control character.
    PATH_ENCODED_SEPARATOR = "path-encoded-separator";
    /// Another encoding of a path that has a plainer one: `%6f` for `o`, or segment parameters (`;`).
    PATH_NOT_CANONICAL = "path-not-canonical";
    /// A character outside ASCII in path or query.
    PATH_NOT_ASCII = "path-not-ascii";
    /// No rule names the host.
    HOST_NOT_GRANTED = "host-not-granted";
    /// The host's rules name another scheme.
    SCHEME_NOT_GRANTED = "scheme-not-granted";
    /// The host's rules name other ports.
    PORT_NOT_GRANTED = "port-not-granted";
    /// The host's rules name other methods.
    METHOD_NOT_GRANTED = "method-not-granted";
    /// The host's rules name other paths for the method.
    PATH_NOT_GRANTED = "path-not-granted";
    /// Order entry while the variable `EXEC_KILL_SWITCH` is on, unreadable or not the component's.
    EXEC_KILL_SWITCH = "exec-kill-switch";
    /// Order entry while the document `ops/execution_kill_switch` is on or unreadable.
    EXECUTION_KILL_SWITCH = "execution-kill-switch";
    /// Order entry while `systemStatus/risk_management` says that trading is off or halted, or is unreadable.
    TRADING_DISABLED = "trading-disabled";
    /// Order entry while `systemStatus/trading_gate` says that trading is off or halted, or is unreadable.
    TRADING_GATE_CLOSED = "trading-gate-closed";
    /// The rule has headers, and the request would carry them over `http` to another machine.
    CREDENTIALS_IN_CLEAR = "credentials-in-clear";
    /// The rule requires its headers, and one of them is empty.
    HEADER_VALUE_MISSING = "header-value-missing";
    /// The host's name has no address.
    NAME_UNRESOLVED = "name-unresolved";
    /// The host's name has more addresses than are checked.
    TOO_MANY_ADDRESSES = "too-many-addresses";
    /// An address of the host lies in a range that only a grant of the address itself opens.
    ADDRESS_FORBIDDEN = "address-forbidden";
}

reasons! { DOCUMENTS, "Every word with which document grants deny a call.":
    /// The collection's name is malformed.
    COLLECTION_MALFORMED = "collection-malformed";
    /// The component may not read the collection.
    READ_NOT_GRANTED = "read-not-granted";
    /// The component may not write the collection.
    WRITE_NOT_GRANTED = "write-not-granted";
}
