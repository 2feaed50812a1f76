// doctor.h - which Lua library is in use, and what is wrong with it.

#ifndef IC_DOCTOR_H
#define IC_DOCTOR_H

// Prints it, with what can be promised and what to do. The exit status: 0, or 1
// where something is wrong. Forks; no other thread may run.
int ic_doctor(void);

#endif
