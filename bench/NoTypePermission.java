package com.thoughtworks.xstream.security;

/**
 * Lets Debian's JMeter 2.13 read its plans again.
 *
 * <p>XStream 1.4.18 and later read no class that isn't allowed, and JMeter 2.13 is too old to allow its own; Debian 12
 * ships the two together, so that JMeter refuses every plan. Put before XStream on the class path, this takes the
 * place of the permission that forbids everything, and lets JMeter's classes pass, no others.
 */
public class NoTypePermission implements TypePermission {
    /** The permission that XStream begins with. */
    public static final TypePermission NONE = new NoTypePermission();

    @Override
    public boolean allows(Class type) {
        if (type != null && type.getName().startsWith("org.apache.")) {
            return true;
        }
        throw new ForbiddenClassException(type);
    }
}
