/**
 * A self-signed pair for test servers, valid for mx.test and *.mx.test until 2125. It protects nothing: the key is public here.
 * A test that wants it trusted passes the certificate as an additional root.
 */
export const TEST_CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBzzCCAXSgAwIBAgIUZGiPepsQLVK6RoyyVA0r3uczccswCgYIKoZIzj0EAwIw
LDEQMA4GA1UEAwwHbXgudGVzdDEYMBYGA1UECgwPUG9zdHJpZGVyIHRlc3RzMCAX
DTI2MTEyMzE1MDYxMloYDzIxMjYxMDMwMTUwNjEyWjAsMRAwDgYDVQQDDAdteC50
ZXN0MRgwFgYDVQQKDA9Qb3N0cmlkZXIgdGVzdHMwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAQqxD1dUVftDfoC/BDaal5k4M8Od1OzxCDb3QlK6UOqa1eYdPXtewCu
XHT4DCTM6YeU9sIm0RT6Rr0G+c+d8gdHo3IwcDAdBgNVHQ4EFgQUqJ+e4El5wDk5
cNWaZyvrG+yDwPMwHwYDVR0jBBgwFoAUqJ+e4El5wDk5cNWaZyvrG+yDwPMwDwYD
VR0TAQH/BAUwAwEB/zAdBgNVHREEFjAUggdteC50ZXN0ggkqLm14LnRlc3QwCgYI
KoZIzj0EAwIDSQAwRgIhANHQZgU/vZlpB9D5UoiQYcqCzon08ARbLIjdoNHgX5Tk
AiEA2KwAErYU/35zdeMBQ4kDJFlbdIoOcpJJFa/EALZH5q0=
-----END CERTIFICATE-----`;

export const TEST_KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgWTwZpChy+IlErtiP
VhAqXGOHLVzn0QjP33txyxDOI52hRANCAAQqxD1dUVftDfoC/BDaal5k4M8Od1Oz
xCDb3QlK6UOqa1eYdPXtewCuXHT4DCTM6YeU9sIm0RT6Rr0G+c+d8gdH
-----END PRIVATE KEY-----`;
