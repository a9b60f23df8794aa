#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

// The C library's functions under names that cannot be mistaken for the vector ones.

@inline(__always) func logarithm(_ x: Float) -> Float { log(x) }
@inline(__always) func logOnePlus(_ x: Float) -> Float { log1p(x) }
@inline(__always) func scalarExponential(_ x: Float) -> Float { exp(x) }
