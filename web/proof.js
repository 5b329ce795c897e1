// Challenge in, proof out: see proof_of_work.rs. Names of FIPS 180-4.
const K = [], H = [], W = new Int32Array(64), r = (x, n) => x>>>n | x<<32-n;
for (let n = 2, d; !K[63]; n++) {
  for (d = 2; n % d;) d++;
  if (d == n) H.push(n**.5*2**32|0), K.push(n**(1/3)*2**32|0);
}
const [A, B, C, D, E, F, G, I] = H;
function hash() {
  let a=A, b=B, c=C, d=D, e=E, f=F, g=G, h=I, t = 0, x, y;
  for (; t < 64; t++) {
    if (t > 15) x = W[t-15], y = W[t-2], W[t] = W[t-16] + W[t-7]
      + (r(x,7)^r(x,18)^x>>>3) + (r(y,17)^r(y,19)^y>>>10);
    x = h + (r(e,6)^r(e,11)^r(e,25)) + (g^e&(f^g)) + K[t] + W[t] | 0;
    h=g, g=f, f=e, e=d+x|0, d=c, c=b, b=a;
    a = x + (r(b,2)^r(b,13)^r(b,22)) + (b&c^d&(b^c)) | 0;
  }
  return a + A >>> 0;
}
onmessage = ({ data }) => {
  const [,, cost, mac] = data.split(".");
  W.set(mac.match(/.{8}/g).map(x => "0x" + x));
  W[6] = 1<<31, W[15] = 192;
  for (W[4] = 0; W[4] < 16; W[4]++) {
    for (W[5] = 0; hash() * cost >= 2**32;) W[5]++;
    data += "." + W[5];
  }
  postMessage(data);
};
