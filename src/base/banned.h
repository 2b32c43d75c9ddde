/* Calls that do not compile in this house: they overflow, they are not thread-safe, or they build
 * strings for a shell. The last include of every file, for libc's own headers would bring them back
 * under the other name (tests/structure sees to that). */
#pragma once

#define BANNED(name) name##_is_banned_in_this_house
#undef strcpy
#define strcpy BANNED(strcpy)
#undef strcat
#define strcat BANNED(strcat)
#undef sprintf
#define sprintf BANNED(sprintf)
#undef vsprintf
#define vsprintf BANNED(vsprintf)
#undef gets
#define gets BANNED(gets)
#undef strtok
#define strtok BANNED(strtok)
#undef system
#define system BANNED(system)
#undef popen
#define popen BANNED(popen)
#undef gmtime
#define gmtime BANNED(gmtime)
#undef localtime
#define localtime BANNED(localtime)
