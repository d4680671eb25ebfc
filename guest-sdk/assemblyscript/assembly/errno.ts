import { Errno } from "./abi";

/** The name of an errno, negated or not, such as `EAGAIN`; `E` and the number for one that is not in the contract. */
export function errnoName(errno: i32): string {
  const number = abs(errno);
  switch (number) {
    case Errno.EAGAIN: return "EAGAIN";
    case Errno.EBADF: return "EBADF";
    case Errno.ECONNABORTED: return "ECONNABORTED";
    case Errno.ECONNRESET: return "ECONNRESET";
    case Errno.EINVAL: return "EINVAL";
    case Errno.EIO: return "EIO";
    case Errno.EMSGSIZE: return "EMSGSIZE";
    case Errno.ENOENT: return "ENOENT";
    case Errno.ENOTCONN: return "ENOTCONN";
    case Errno.ENOTSUP: return "ENOTSUP";
    case Errno.EPIPE: return "EPIPE";
    case Errno.ETIMEDOUT: return "ETIMEDOUT";
    default: return "E" + number.toString();
  }
}
