"""Where a webhook may go, and where it may not."""

from ipaddress import ip_address

import pytest

from web.webhook_rules import WebhookError, WebhookRules, check_address, check_url

OPEN = WebhookRules(disable_loopback=False, disable_private_ips=False)


@pytest.mark.parametrize("url", ["http://example.org", "https://example.org:8443/hook?a=1", "http://192.0.2.1/"])
def test_an_http_url_with_a_host_is_taken(url):
    check_url(url, WebhookRules())


@pytest.mark.parametrize(
    "url",
    ["", "/hook", "//example.org", "ftp://example.org", "http://", "http://a:99999", "http://[::1", "file:///etc"],
)
def test_what_is_no_http_url_is_refused(url):
    with pytest.raises(WebhookError):
        check_url(url, OPEN)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "localhost.", "a.localhost"])
def test_the_name_of_this_machine_is_refused_unless_allowed(host):
    with pytest.raises(WebhookError):
        check_url(f"http://{host}/", WebhookRules())
    check_url(f"http://{host}/", OPEN)


@pytest.mark.parametrize(
    ("rules", "good", "bad"),
    [
        (WebhookRules(require_https=True), "https://a.org", "http://a.org"),
        (WebhookRules(allowed_ports=(443,)), "https://a.org", "https://a.org:444"),
        (WebhookRules(allowed_ports=(443,)), "http://a.org:443", "http://a.org:0"),
        (WebhookRules(allowed_domains=("a.org",)), "https://A.org", "https://b.a.org"),
        (WebhookRules(allowed_domains=("*.a.org",)), "https://b.a.org", "https://ba.org"),
        (WebhookRules(max_url_length=13), "https://a.org", "https://a.org/"),
    ],
)
def test_each_rule_is_obeyed(rules, good, bad):
    check_url(good, rules)
    with pytest.raises(WebhookError):
        check_url(bad, rules)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"])
def test_a_public_address_is_called(address):
    check_address(ip_address(address), WebhookRules())


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "0.0.0.0", "::", "::ffff:127.0.0.1"])
def test_this_machine_is_not_called_unless_allowed(address):
    with pytest.raises(WebhookError):
        check_address(ip_address(address), WebhookRules(disable_private_ips=False))
    check_address(ip_address(address), WebhookRules(disable_loopback=False))


PRIVATE = (
    "10.0.0.1 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 100.100.100.200 224.0.0.1 255.255.255.255 fe80::1 "
    "fd00:ec2::254 ff02::1 fec0::1 ::ffff:10.0.0.1 64:ff9b::a9fe:a9fe 2002:a00:1::1"
)


@pytest.mark.parametrize("address", PRIVATE.split())
def test_an_address_that_is_not_public_is_not_called_unless_allowed(address):
    with pytest.raises(WebhookError):
        check_address(ip_address(address), WebhookRules(disable_loopback=False))
    check_address(ip_address(address), OPEN)
